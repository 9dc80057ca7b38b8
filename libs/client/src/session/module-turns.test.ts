import type { MockModule } from '@cabstand/testing';
import { mocked } from './mocked.fixture';
import type { Session } from './session';

/** Three words a turn, and a fourth that a command says. */
async function talk(module: MockModule): Promise<void> {
  for (let turn: number | undefined = Number(module.state['turn'] ?? 0); turn !== undefined;) {
    for (let word = Number(module.state['word'] ?? 0); word < 3; word++) {
      module.state['word'] = word;
      await module.checkpoint();
      await module.emit({ text: `${turn}.${word}` });
    }
    const given = turn === 1 ? await module.next() : undefined;
    if (given?.kind === 'command') await given.answer(turn);
    Object.assign(module.state, { turn: turn + 1, word: 0 });
    if (turn === 3) return;
    turn = await module.nextTurn();
  }
}

async function turnOf(session: Session, told?: () => void): Promise<string[]> {
  const words: string[] = [];
  for await (const { text } of session.runProtocolTask(undefined)) {
    if (words.push(text) === 2) told?.();
  }
  return words;
}

describe.each(['mock', 'grpc'] as const)('over %s, a module of several turns', (kind) => {
  const setup = (survival: 'none' | 'replay' | 'commit') =>
    mocked(kind, { module: { survival, commands: ['say'], run: talk } });

  test.each(['replay', 'commit'] as const)(
    'gives each record once, though a hoster dies in each turn (%s)',
    async (survival) => {
      const { session, mock } = await setup(survival);
      for (let turn = 0; turn < 4; turn++) {
        mock.fail({ kind: 'die', after: turn });
        let said: Promise<unknown> | undefined;
        const say = (): void => {
          said = session.command('say');
        };
        const words = await turnOf(session, turn === 1 ? say : undefined);
        expect(words).toEqual([0, 1, 2].map((word) => `${turn}.${word}`));
        expect(await said).toBe(turn === 1 ? 1 : undefined);
      }
      expect(session.state).toBe('ended');
    },
  );

  test('keeps a command that its turn did not take for the next one', async () => {
    const { session } = await setup('none');
    let answer: Promise<unknown> | undefined;
    await turnOf(session, () => {
      answer = session.command('say');
    });
    await turnOf(session);
    expect(await answer).toBe(1);
  });
});
