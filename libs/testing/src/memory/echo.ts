import type { MockRecord, MockTurn } from './types';

/** The default model: gives back what it is given. */
export async function* echo(turn: MockTurn): AsyncGenerator<MockRecord> {
  for (const word of turn.prompt.split(' ')) if (word !== '') yield { text: word };
  for await (const tensors of turn.parts) if (tensors.length > 0) yield { tensors };
}
