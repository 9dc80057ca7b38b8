/** Runs the graph of a language model: some more tokens of sequences in, scores of the next ones out. */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import type { LanguageModelProgram } from '@cabstand/model';
import { float16Numbers } from '@cabstand/tensor';
import type { CalledBy, GraphSession } from '../../graphs/graph-session';
import { valuesOf } from '../../graphs/rows';
import type { BlockMemory } from '../../graphs/state-memory';
import type { ScoreRange } from '../../output/scores';
import { HOST_BLOCKS } from '../../state/host-blocks';
import type { CacheBuffer } from './cache/cache-buffer';
import type { Columns, Elements } from './cache/columns';
import { LAST_SCORES, freshName } from './cache/tail';

/** Rows side by side in a buffer, and how many columns of each are in use. */
export interface RowsOfBuffer {
  readonly buffer: CacheBuffer;
  readonly from: number;
  readonly lengths: readonly number[];
}

/**
 * What was added to the graph. `scores`: those of the last token only; its caches are of a fixed size, and written in
 * place. `columns`: those too that a run adds to its cache.
 */
export type Tail = 'none' | 'scores' | 'columns';

export class Decoder {
  readonly program: LanguageModelProgram;
  readonly #session: GraphSession;
  readonly #tail: Tail;
  /** The mask alone says how long each row is; columns are written where they follow. */
  readonly #isFixed: boolean;
  /**
   * Rows of several lengths may run together, with columns that are not in use masked. Otherwise each runs alone, on
   * a copy as long as its tokens.
   */
  ragged: boolean;

  /** @param tail the session has these outputs of the tail */
  constructor(session: GraphSession, program: LanguageModelProgram, tail: Tail = 'none') {
    this.program = program;
    this.#session = session;
    this.#tail = tail;
    this.#isFixed = program.cache.kind === 'fixed';
    this.ragged =
      program.takesMask &&
      (this.#isFixed || program.takesPositions) &&
      program.rounding !== 'by-run';
  }

  get calledBy(): CalledBy {
    return this.#session.calledBy;
  }

  /** Where its caches lie. */
  get memory(): BlockMemory {
    return this.#session.memory?.blocks ?? HOST_BLOCKS;
  }

  /**
   * Computes the tokens that follow those in the cache, and writes their columns behind those in use, where there has
   * to be room for them. Answers the scores of the token after them, by row; none where they are not wanted. Where
   * it throws, no column in use was changed.
   *
   * @param ids by row: at least one, each below the vocabulary's size, equally many
   */
  async run(
    rows: RowsOfBuffer,
    ids: readonly (readonly number[])[],
    wantsScores = true,
  ): Promise<ScoreRange[]> {
    const { buffer, from, lengths } = rows;
    if (this.#isFixed || this.#isInPlace(lengths))
      return await this.#run(rows, buffer.feeds(from, lengths.length), ids, wantsScores);
    const copy: Columns = buffer.read(from, 0, this.#before(buffer, lengths));
    try {
      return await this.#run(rows, buffer.feedsOf(copy), ids, wantsScores);
    } finally {
      buffer.forget(copy);
    }
  }

  async #run(
    rows: RowsOfBuffer,
    caches: Record<string, OrtTensor>,
    ids: readonly (readonly number[])[],
    wantsScores: boolean,
  ): Promise<ScoreRange[]> {
    const { tensors } = this.program.cache;
    const tokens = ids[0]?.length ?? 0;
    const scores = wantsScores ? [this.#tail === 'none' ? 'logits' : LAST_SCORES] : [];
    const feeds = this.#feeds(rows, caches, ids, tokens);
    const [name] = scores;
    const scoresIn = (results: Results): ScoreRange[] =>
      name === undefined ? [] : this.#scores(results[name], name, ids.length, tokens);
    // The graph's operators write new columns where the ones before stand, and ONNX Runtime is told to let them.
    if (this.#tail === 'scores') {
      const fetches: Record<string, OrtTensor | null> = {};
      if (name !== undefined) fetches[name] = null;
      for (const { past, present } of tensors) fetches[present] = feeds[past] ?? null;
      return scoresIn(await this.#session.run(feeds, fetches));
    }
    const isCut = this.#tail === 'columns';
    const columns = tensors.map(({ present }) => (isCut ? freshName(present) : present));
    const results: Results = await this.#session.run(feeds, [...scores, ...columns]);
    const ranges = scoresIn(results);
    this.#keep(results, columns, rows, tokens);
    return ranges;
  }

  #feeds(
    { buffer, lengths }: RowsOfBuffer,
    caches: Record<string, OrtTensor>,
    ids: readonly (readonly number[])[],
    tokens: number,
  ): Record<string, OrtTensor> {
    const { takesMask, takesPositions, takesBranch } = this.program;
    const count = lengths.length;
    const before = this.#isFixed ? Math.max(...lengths) : this.#before(buffer, lengths);
    const feeds = { ...caches };
    if (takesBranch === true)
      feeds['use_cache_branch'] = new OrtTensor('bool', [!isEmpty(lengths)], [1]);
    feeds['input_ids'] = int64(count, tokens, (row, at) => ids[row]?.[at] ?? 0);
    if (takesMask) {
      const width = before + tokens;
      const mask = new BigInt64Array(count * width);
      lengths.forEach((length, row) => {
        if (this.#isFixed) mask.fill(1n, row * width, row * width + length + tokens);
        else {
          mask.fill(1n, row * width, row * width + length);
          mask.fill(1n, row * width + before, (row + 1) * width);
        }
      });
      feeds['attention_mask'] = new OrtTensor('int64', mask, [count, width]);
    }
    if (takesPositions)
      feeds['position_ids'] = int64(count, tokens, (row, at) => (lengths[row] ?? 0) + at);
    return feeds;
  }

  /** Columns that are not in use are masked; what begins with an empty cache is not told of any. */
  #isInPlace(lengths: readonly number[]): boolean {
    return this.ragged && !(this.program.takesBranch === true && isEmpty(lengths));
  }

  /** Columns that a graph whose caches grow is given. */
  #before({ capacity }: CacheBuffer, lengths: readonly number[]): number {
    return this.#isInPlace(lengths) ? capacity : (lengths[0] ?? 0);
  }

  /** Exports pad the scores to a round size: what is beyond the vocabulary is no token. */
  #scores(logits: OrtTensor | undefined, name: string, rows: number, tokens: number): ScoreRange[] {
    const { vocabularySize: count, logitsDtype } = this.program;
    const positions = this.#tail === 'none' ? tokens : 1;
    const [given, places, width = 0] = logits?.dims ?? [];
    if (logits === undefined || given !== rows || places !== positions || width < count)
      throw new CabstandError(
        'MODEL_FAILED',
        `output ${name} has shape [${logits?.dims.join(', ')}], expected [${rows}, ${positions}, ${count} or more]`,
      );
    const values = valuesOf(logits) as Elements;
    return Array.from({ length: rows }, (_, row) => {
      const offset = ((row + 1) * positions - 1) * width;
      if (logitsDtype === 'float32') return { scores: values as Float32Array, offset, count };
      const bits = values.subarray(offset, offset + count) as Uint16Array;
      return { scores: float16Numbers(bits), offset: 0, count };
    });
  }

  /** Writes what a run added into the buffer, once all of it is known to be what it should be. */
  #keep(
    results: Results,
    names: readonly string[],
    { buffer, from, lengths }: RowsOfBuffer,
    tokens: number,
  ): void {
    const { tensors } = this.program.cache;
    // What the graph was given stands before what it adds, or around it.
    const isCut = this.#tail === 'columns';
    const skipped = isCut ? 0 : this.#before(buffer, lengths);
    const isWhole = this.#isFixed && !isCut;
    const capacity = isWhole ? buffer.capacity : skipped + tokens;
    const given = tensors.map(({ heads, size }, index) => {
      const name = names[index] ?? '';
      const tensor = results[name];
      const expected = [lengths.length, heads, capacity, size];
      if (tensor?.dims.length !== 4 || expected.some((size, axis) => tensor.dims[axis] !== size))
        throw new CabstandError(
          'MODEL_FAILED',
          `output ${name} has shape [${tensor?.dims.join(', ')}], expected [${expected.join(', ')}]`,
        );
      return valuesOf(tensor) as Elements;
    });
    given.forEach((array, index) => {
      const { heads, size } = tensors[index] ?? { heads: 0, size: 0 };
      lengths.forEach((length, row) => {
        const column = isWhole ? length : skipped;
        const place = { block: array, offset: row * heads * capacity * size, capacity, column };
        buffer.write(index, from + row, length, place, tokens);
      });
    });
  }
}

/** Prompts begin alone. */
const isEmpty = (lengths: readonly number[]): boolean => lengths.length === 1 && lengths[0] === 0;

type Results = Readonly<Record<string, OrtTensor | undefined>>;

function int64(
  rows: number,
  width: number,
  valueAt: (row: number, at: number) => number,
): OrtTensor {
  const values = new BigInt64Array(rows * width);
  for (let row = 0; row < rows; row += 1)
    for (let at = 0; at < width; at += 1) values[row * width + at] = BigInt(valueAt(row, at));
  return new OrtTensor('int64', values, [rows, width]);
}
