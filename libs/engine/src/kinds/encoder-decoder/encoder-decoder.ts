/** Runs the graphs of a language model with an encoder: the input once, then some more tokens of the answer each time. */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import type { EncoderDecoderProgram } from '@cabstand/model';
import { float16Numbers } from '@cabstand/tensor';
import type { CalledBy, GraphSession, Tensors } from '../../graphs/graph-session';
import type { ScoreRange } from '../../output/scores';
import { bytesPerToken } from '../language-model/cache/columns';
import { KvCache } from './kv-cache';

/** What the encoder reads: ids of tokens, or features, bin by bin. */
export type EncoderInput = readonly number[] | Float32Array;

export interface Sessions {
  readonly encoder: GraphSession;
  /** Of the first run, where there is no cache; of a merged decoder both are the same. */
  readonly first: GraphSession;
  readonly next: GraphSession;
}

/** One input that was encoded, and the answer so far. */
export interface Decoding {
  /** Tokens of the answer that were computed, those that it begins with included. */
  readonly length: number;
  /** Held by it. */
  readonly bytes: number;
}

interface State extends Decoding {
  readonly cache: KvCache;
  /** What the encoder wrote; empty once the decoder has keys and values of it. */
  hidden: OrtTensor;
  readonly mask: OrtTensor;
  /** Keys and values of it, by the names of the graph's inputs: none before the first run. They are never fetched again. */
  cross: Tensors | undefined;
}

export class EncoderDecoder {
  readonly program: EncoderDecoderProgram;
  readonly #sessions: Sessions;

  constructor(sessions: Sessions, program: EncoderDecoderProgram) {
    this.program = program;
    this.#sessions = sessions;
  }

  get calledBy(): CalledBy {
    return this.#sessions.next.calledBy;
  }

  /** Most bytes of one answer. */
  get largest(): number {
    const { crossCache, target, encoder } = this.program;
    const { source } = encoder;
    const length = source.kind === 'tokens' ? source.maxTokens : source.positions;
    return bytesPerToken(target.cache) * target.contextLength + bytesPerToken(crossCache) * length;
  }

  /** @throws CabstandError MODEL_FAILED where the graph gives something else than was announced. */
  async encode(input: EncoderInput): Promise<Decoding> {
    const { encoder } = this.#sessions;
    const feeds = chosen(encoder, {
      ...this.#sourceOf(input),
      attention_mask: int64(input.length, () => 1),
    });
    const { last_hidden_state: hidden } = await encoder.run(feeds, ['last_hidden_state']);
    const [rows, length = 0] = hidden?.dims ?? [];
    if (hidden === undefined || rows !== 1 || hidden.dims.length !== 3)
      throw new CabstandError(
        'MODEL_FAILED',
        `output last_hidden_state has shape [${hidden?.dims.join(', ')}], expected [1, length, size]`,
      );
    const { crossCache, target } = this.program;
    const cache = new KvCache(target.cache);
    const perToken = bytesPerToken(crossCache);
    const state: State = {
      ...{ cache, hidden, cross: undefined, mask: int64(length, () => 1) },
      get length() {
        return cache.length;
      },
      get bytes() {
        return cache.bytes + length * perToken;
      },
    };
    return state;
  }

  /**
   * Computes the tokens of the answer that follow those computed already. Answers the scores of the one
   * after them. Where it throws, the decoding is as it was.
   *
   * @param ids of tokens: at least one, each below the vocabulary's size
   */
  async run(decoding: Decoding, ids: readonly number[]): Promise<ScoreRange> {
    const state = decoding as State;
    const { crossCache, target } = this.program;
    const first = state.cross === undefined;
    const session = first ? this.#sessions.first : this.#sessions.next;
    const feeds = chosen(session, {
      input_ids: int64(ids.length, (at) => ids[at] ?? 0),
      encoder_hidden_states: state.hidden,
      encoder_attention_mask: state.mask,
      ...state.cache.feeds,
      ...(state.cross ?? new KvCache(crossCache).feeds),
      use_cache_branch: new OrtTensor('bool', [!first], [1]),
    });
    const outputs = ['logits', ...target.cache.tensors.map(({ present }) => present)];
    if (first) outputs.push(...crossCache.tensors.map(({ present }) => present));
    const results = await session.run(feeds, outputs);
    const scores = this.#lastScores(results['logits'], ids.length);
    const cross = first ? this.#crossOf(results, state.mask.size) : state.cross;
    state.cache.grow(results, ids.length);
    state.cross = cross;
    if (first) state.hidden = nothingOf(state.hidden);
    return scores;
  }

  #sourceOf(input: EncoderInput): Record<string, OrtTensor> {
    const { source } = this.program.encoder;
    if (input instanceof Float32Array && source.kind === 'features')
      return { input_features: new OrtTensor('float32', input, [1, source.bins, source.frames]) };
    return { input_ids: int64(input.length, (at) => input[at] ?? 0) };
  }

  #crossOf(results: Tensors, length: number): Tensors {
    return Object.fromEntries(
      this.program.crossCache.tensors.map(({ past, present, heads, size }) => {
        const tensor = results[present];
        const expected = [1, heads, length, size];
        if (tensor === undefined || expected.some((one, axis) => tensor.dims[axis] !== one))
          throw new CabstandError(
            'MODEL_FAILED',
            `output ${present} has shape [${tensor?.dims.join(', ')}], expected [${expected.join(', ')}]`,
          );
        return [past, tensor];
      }),
    );
  }

  /** Exports pad the scores to a round size: what is beyond the vocabulary is no token. */
  #lastScores(logits: OrtTensor | undefined, tokens: number): ScoreRange {
    const { vocabularySize: count, logitsDtype } = this.program.target;
    const [rows, positions, width = 0] = logits?.dims ?? [];
    if (logits === undefined || rows !== 1 || positions !== tokens || width < count)
      throw new CabstandError(
        'MODEL_FAILED',
        `output logits has shape [${logits?.dims.join(', ')}], expected [1, ${tokens}, ${count} or more]`,
      );
    const offset = (tokens - 1) * width;
    if (logitsDtype === 'float32') return { scores: logits.data as Float32Array, offset, count };
    const bits = (logits.data as Uint16Array).subarray(offset, offset + count);
    return { scores: float16Numbers(bits), offset: 0, count };
  }
}

/** Those that the graph takes. */
function chosen(session: GraphSession, feeds: Tensors): Record<string, OrtTensor> {
  return Object.fromEntries(
    Object.entries(feeds).filter(([name]) =>
      session.inputMetadata.some((input) => input.name === name),
    ),
  );
}

/** Of no positions: a merged decoder with a cache does not look at them. */
function nothingOf({ type, dims }: OrtTensor): OrtTensor {
  const shape = [1, 0, dims[2] ?? 0];
  return type === 'float16'
    ? new OrtTensor('float16', new Uint16Array(0), shape)
    : new OrtTensor('float32', new Float32Array(0), shape);
}

function int64(count: number, valueAt: (index: number) => number): OrtTensor {
  const values = BigInt64Array.from({ length: count }, (_, index) => BigInt(valueAt(index)));
  return new OrtTensor('int64', values, [1, count]);
}
