/** Records of an answer: a token and its text, and log probabilities where they were asked for. */
import type { LoadedFrame } from '../../../frames/types';
import { charge, writeToken } from '../../../output/record';
import type { Credit, Records } from '../../../output/record';
import type { StepWriter } from '../../../output/step-writer';
import { writeTensor } from '../../../output/tensor-record';
import type { Choice } from './answer';

/** Those of log probabilities are there where a turn asks for them. */
export const CHOICE_OUTPUTS: LoadedFrame['outputs'] = [
  { name: 'token', dtype: 'int64', shape: [1] },
  { name: 'logprob', dtype: 'float32', shape: [1] },
  { name: 'top_tokens', dtype: 'int64', shape: [-1] },
  { name: 'top_logprobs', dtype: 'float32', shape: [-1] },
];

/** Writes a record, and charges it. */
export function emitChoice(
  sequence: Credit,
  turn: Records,
  { token, text, logprobs }: Pick<Choice, 'token' | 'text' | 'logprobs'>,
  out: StepWriter,
): void {
  out.beginChunk(sequence.id, turn.number);
  writeToken(token, out);
  if (logprobs !== undefined) {
    const { chosen, ids } = logprobs;
    writeTensor(out, 'logprob', 'float32', [1], Float32Array.of(chosen));
    if (ids.length > 0) {
      writeTensor(out, 'top_tokens', 'int64', [ids.length], BigInt64Array.from(ids, BigInt));
      const values = Float32Array.from(logprobs.logprobs);
      writeTensor(out, 'top_logprobs', 'float32', [ids.length], values);
    }
  }
  out.text(text);
  charge(sequence, turn, out.endChunk());
}
