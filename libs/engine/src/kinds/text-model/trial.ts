/** Before a model of texts is served: what filling up rows and running them together does to them. */
import { CabstandError } from '@cabstand/core';
import type { BatchClass } from '@cabstand/model';
import type { TextGraph } from './text-graph';

/** Lengths of the texts that are tried together. */
const LENGTHS = [3, 17, 9, 4];
/** More than float32 rounds to, and less than what anybody would tell apart. */
const LARGEST = 1e-4;

export interface TextTrial {
  readonly batchClass: BatchClass;
  /** Largest difference of a number, alone and together, over the largest number. */
  readonly error: number;
  /** Why rows run alone; empty where they do not. */
  readonly unbatchedBecause: string;
  /** Numbers of an answer. */
  readonly width: number;
}

/** @throws CabstandError MODEL_FAILED where the graph cannot run, VERIFICATION_FAILED for answers that are no numbers. */
export async function tryTexts(graph: TextGraph, vocabularySize: number): Promise<TextTrial> {
  const { maxTokens } = graph.program.tokenizer;
  const texts = LENGTHS.map((length, text) =>
    Array.from(
      { length: Math.min(length, maxTokens) },
      (_, at) => (at * 7919 + 31 * text + 11) % vocabularySize,
    ),
  );
  const alone: Float32Array[] = [];
  for (const text of texts) alone.push(...(await graph.run([text])));
  const width = alone[0]?.length ?? 0;
  if (!alone.every((numbers) => numbers.every(Number.isFinite)))
    throw new CabstandError('VERIFICATION_FAILED', 'the graph answers texts with NaN or infinity');
  const together = await graph.run(texts).catch((error: unknown) => CabstandError.from(error));
  if (CabstandError.is(together))
    return {
      ...{ batchClass: 'unbatched', error: 0, width },
      unbatchedBecause: `texts of different lengths do not run together: ${together.message}`,
    };
  const error = differenceOf(alone, together);
  if (error <= LARGEST)
    return {
      ...{ batchClass: error === 0 ? 'exact' : 'tolerance', error, unbatchedBecause: '', width },
    };
  return {
    ...{ batchClass: 'unbatched', error: 0, width },
    unbatchedBecause: `a text answers otherwise beside others, by ${error.toExponential(1)} of the largest number`,
  };
}

function differenceOf(alone: readonly Float32Array[], together: readonly Float32Array[]): number {
  let [most, largest] = [0, 0];
  for (const [text, numbers] of alone.entries())
    for (const [at, number] of numbers.entries()) {
      most = Math.max(most, Math.abs(number - (together[text]?.[at] ?? NaN)));
      largest = Math.max(largest, Math.abs(number));
    }
  return most === 0 ? 0 : most / largest;
}
