/** Log probabilities of tokens, by the scores of the model as they are: before anything is done to them. */
import type { ScoreRange } from '../../../output/scores';

export interface TokenLogprobs {
  /** Of the token that was chosen. */
  readonly chosen: number;
  /** Ids of the most likely tokens, the likeliest first; of equal ones the first. */
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
}

/** @param most how many of the most likely tokens are told */
export function logprobsOf(
  { scores, offset, count }: ScoreRange,
  id: number,
  most: number,
): TokenLogprobs {
  let top = -Infinity;
  for (let at = 0; at < count; at += 1) top = Math.max(top, scores[offset + at] as number);
  let sum = 0;
  const ids: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const score = scores[offset + at] as number;
    sum += Math.exp(score - top);
    let place = ids.length;
    while (place > 0 && score > (scores[offset + (ids[place - 1] as number)] as number)) place -= 1;
    if (place >= most) continue;
    ids.splice(place, 0, at);
    if (ids.length > most) ids.pop();
  }
  const base = top + Math.log(sum);
  const logprob = (at: number): number => (scores[offset + at] as number) - base;
  return { chosen: logprob(id), ids, logprobs: ids.map(logprob) };
}
