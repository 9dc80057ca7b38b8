/**
 * Before a language model is served: a text computed in parts must give what it gives at once, and what it gives
 * must not depend on the sequences beside it.
 */
import { CabstandError } from '@cabstand/core';
import type { LanguageModelProgram } from '@cabstand/model';
import type { ScoreRange } from '../../output/scores';
import { CacheBuffer } from './cache/cache-buffer';
import { bucketOf } from './cache/columns';
import type { Decoder } from './decoder';

const TOKENS = 12;
/** Of the deviation of all scores; a wrong position or a mask that is not heeded gives more than 1. */
const LARGEST = 0.2;
/** Where what is computed at once is rounded to 8 bits by the largest number of it. */
const LARGEST_BY_RUN = 0.8;
/** More than rounding of float32 gives. */
export const NOTABLE = 1e-3;

export interface TrialResult {
  /** Largest difference of a score between a text in parts and at once, over the deviation of all. */
  readonly error: number;
  /** Of a text beside another one and alone. */
  readonly moved: number;
  /** Why sequences do not run together; '' if they do. */
  readonly aloneBecause: string;
  readonly notes: readonly string[];
}

/** What goes on from a cache: a decoder, or one that goes on from what an encoder wrote. */
export interface Tried<C> {
  readonly program: Pick<LanguageModelProgram, 'vocabularySize' | 'contextLength' | 'rounding'>;
  /** An empty one that has room for so many tokens. */
  readonly cache: (tokens: number) => C | Promise<C>;
  /** Scores behind the last of these tokens, of which `from` came before. */
  readonly run: (cache: C, from: number, ids: readonly number[]) => Promise<ScoreRange | undefined>;
}

/**
 * A text computed in parts must give what it gives at once.
 *
 * @throws CabstandError VERIFICATION_FAILED where the graph does not go on from its cache.
 */
export async function tryParts<C>(tried: Tried<C>): Promise<Pick<TrialResult, 'error' | 'notes'>> {
  const ids = textFor(tried.program);
  const count = ids.length;
  const whole = await scoresOf(tried, ids, [count]);
  let error = 0;
  for (const parts of [[5, count - 5], ids.map(() => 1)]) {
    if (parts.some((part) => part < 1)) continue;
    error = Math.max(error, difference(await scoresOf(tried, ids, parts), whole));
  }
  // NaN is no agreement.
  const limit = tried.program.rounding === 'by-run' ? LARGEST_BY_RUN : LARGEST;
  if (!(error <= limit))
    throw new CabstandError(
      'VERIFICATION_FAILED',
      `a text of ${count} tokens computed in parts differs from the same at once by ${error} deviations of the scores, expected at most ${limit}: the graph does not use its cache as optimum's exports do`,
      { metadata: { error: String(error), limit: String(limit) } },
    );
  const notes =
    error <= NOTABLE
      ? []
      : [
          `scores depend on how a text is divided, by ${error.toExponential(1)} of their deviation: an answer that is computed again may go another way where two tokens are almost equally likely`,
        ];
  return { error, notes };
}

/**
 * Leaves the decoder as it may serve: `ragged` only where that moves no scores.
 *
 * @throws CabstandError VERIFICATION_FAILED where the graph does not go on from its cache.
 */
export async function tryDecoder(decoder: Decoder): Promise<TrialResult> {
  const mayBatch = decoder.ragged;
  decoder.ragged = false;
  const { rounding } = decoder.program;
  const tried: Tried<CacheBuffer> = {
    program: decoder.program,
    cache: (tokens) => {
      const buffer = new CacheBuffer(decoder.program.cache, decoder.memory);
      buffer.resize(1, bucketOf(tokens), []);
      return buffer;
    },
    run: async (buffer, from, ids) =>
      (await decoder.run({ buffer, from: 0, lengths: [from] }, [ids]))[0],
  };
  const inParts = await tryParts(tried);
  const ids = textFor(decoder.program);
  const count = ids.length;
  const alone = await scoresOf(tried, ids, [count - 2, 1, 1]);
  let beside = rounding === 'by-run' ? ROUNDED_TOGETHER : NO_INPUTS;
  if (mayBatch && count > 3) beside = await tryBeside(decoder, ids, alone);
  decoder.ragged = beside.because === '';
  return { ...inParts, moved: beside.moved, aloneBecause: beside.because };
}

function textFor({ vocabularySize, contextLength }: Tried<unknown>['program']): number[] {
  const count = Math.min(TOKENS, contextLength);
  return Array.from({ length: count }, (_, at) => (at * 7919 + 11) % vocabularySize);
}

interface Beside {
  readonly moved: number;
  readonly because: string;
}

const ROUNDED_TOGETHER: Beside = {
  moved: 0,
  because: 'the graph rounds its numbers by a scale of all that is computed at once',
};

const NO_INPUTS: Beside = {
  moved: 0,
  because:
    'the graph has no attention_mask or no position_ids: caches of several lengths cannot run together',
};

/** The same text, its last tokens beside a shorter one in a buffer that is not full. */
async function tryBeside(
  decoder: Decoder,
  ids: readonly number[],
  alone: Float64Array,
): Promise<Beside> {
  decoder.ragged = true;
  try {
    const { cache, vocabularySize } = decoder.program;
    const buffer = new CacheBuffer(cache, decoder.memory);
    buffer.resize(2, bucketOf(ids.length), []);
    const other = [7 % vocabularySize, 3 % vocabularySize, 1, 2 % vocabularySize];
    await decoder.run({ buffer, from: 0, lengths: [0] }, [other.slice(0, 2)], false);
    const first = ids.length - 2;
    await decoder.run({ buffer, from: 1, lengths: [0] }, [ids.slice(0, first)], false);
    let ranges: ScoreRange[] = [];
    for (let step = 0; step < 2; step += 1)
      ranges = await decoder.run({ buffer, from: 0, lengths: [2 + step, first + step] }, [
        [other[2 + step] ?? 0],
        [ids[first + step] ?? 0],
      ]);
    const moved = difference(numbersOf(ranges[1]), alone);
    if (moved <= NOTABLE) return { moved, because: '' };
    const because = `scores of a text beside another one differ from those alone by ${moved.toExponential(1)} of their deviation, more than ${NOTABLE}`;
    return { moved, because };
  } catch (error) {
    const { message } = CabstandError.from(error);
    return { moved: 0, because: `the graph does not run two texts together: ${message}` };
  }
}

async function scoresOf<C>(
  { cache, run }: Tried<C>,
  ids: readonly number[],
  parts: readonly number[],
): Promise<Float64Array> {
  const held = await cache(ids.length);
  let range: ScoreRange | undefined;
  let length = 0;
  for (const part of parts) {
    range = await run(held, length, ids.slice(length, length + part));
    length += part;
  }
  return numbersOf(range);
}

function numbersOf(range: ScoreRange | undefined): Float64Array {
  const { scores, offset, count } = range ?? { scores: [], offset: 0, count: 0 };
  return Float64Array.from(scores.slice(offset, offset + count));
}

function difference(got: Float64Array, expected: Float64Array): number {
  const mean = expected.reduce((sum, score) => sum + score, 0) / expected.length;
  const square = expected.reduce((sum, score) => sum + (score - mean) ** 2, 0);
  const deviation = Math.sqrt(square / expected.length);
  const most = expected.reduce(
    (most, score, id) => Math.max(most, Math.abs(score - (got[id] ?? NaN))),
    0,
  );
  return most === 0 ? 0 : most / deviation;
}
