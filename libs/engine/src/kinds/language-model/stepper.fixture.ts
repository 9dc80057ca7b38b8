/** A language model whose graph is a function of the test: each token follows from all those before it. */
import { Tensor as OrtTensor } from 'onnxruntime-node';
import type { LanguageModelProgram, Manifest } from '@cabstand/model';
import { arrayOf, tensorOf } from '@cabstand/tensor';
import type { GraphSession } from '../../graphs/graph-session';
import { decodeFrame } from '../../frames/codec';
import { PREFIX } from '../../frames/layout';
import type { StepItem } from '../../frames/types';
import { StepLoop } from '../../runtime/step-loop';
import { decodeChunk } from '../../verify/decode-chunk';
import { Decoder } from './decoder';
import { LanguageModelStepper } from './stepper';

const VOCABULARY = 97;
const HEADS = 2;

/** The token after these: other ones if any of them is left out, for none adds nothing. */
const nextOf = (tokens: readonly number[]): number =>
  tokens.reduce((sum, id) => sum + valueOf(id, 0) * 3 + valueOf(id, 1) * 5, 0) % VOCABULARY;

/** The first so many tokens of the answer to a prompt. */
export function answerTo(prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt];
  while (tokens.length < prompt.length + count) tokens.push(nextOf(tokens));
  return tokens.slice(prompt.length);
}

const valueOf = (id: number, head: number): number => (id % (head === 0 ? 7 : 5)) + 1;

const program: LanguageModelProgram = {
  cache: {
    dtype: 'float32',
    tensors: [{ past: 'past', present: 'present', heads: HEADS, size: 1 }],
  },
  ...{ logitsDtype: 'float32', rounding: 'fine', takesMask: true, takesPositions: true },
  ...{ vocabularySize: VOCABULARY, contextLength: 256, endTokens: [] },
  ...{ tokenizer: undefined, chat: undefined },
};

const manifest = {
  ...{ kind: 'language-model', takesPrompt: true, digest: '0'.repeat(64) },
  ...{ framed: [], batching: { maxBatch: 16 } },
  parameters: [{ name: 'max_tokens', type: 'int', default: 0, description: '' }],
  inputs: [{ name: 'input_ids', dtype: 'int64', shape: ['tokens'], alsoDtypes: [] }],
} as unknown as Manifest;

/** What is added to a score of a row, for a graph that lets them see each other. */
export type Leak = (row: number, rows: number) => number;

export interface MadeGraph {
  /** What happens between the call and the run. */
  before: () => void;
  /** A token whose column is NaN, as one that overflowed; default: none. */
  poison: number | undefined;
  /** Rows of each run so far. */
  readonly rows: number[];
  readonly decoder: Decoder;
}

/** @param contextLength tokens of prompt and answer */
export function madeGraph(leak: Leak = () => 0, contextLength = 256): MadeGraph {
  const rows: number[] = [];
  const run = async (feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>> => {
    await new Promise((resolve) => setImmediate(resolve));
    made.before();
    const [count = 0, tokens = 0] = feeds['input_ids']?.dims ?? [];
    const before = feeds['past']?.dims[2] ?? 0;
    const width = before + tokens;
    const ids = feeds['input_ids']?.data as BigInt64Array;
    const mask = feeds['attention_mask']?.data as BigInt64Array;
    const past = feeds['past']?.data as Float32Array;
    const present = new Float32Array(count * HEADS * width);
    const logits = new Float32Array(count * tokens * VOCABULARY);
    for (let row = 0; row < count; row += 1) {
      for (let head = 0; head < HEADS; head += 1) {
        const at = (row * HEADS + head) * width;
        const given = (row * HEADS + head) * before;
        present.set(past.subarray(given, given + before), at);
        for (let token = 0; token < tokens; token += 1) {
          const id = Number(ids[row * tokens + token]);
          present[at + before + token] = id === made.poison ? NaN : valueOf(id, head);
        }
      }
      for (let token = 0; token < tokens; token += 1) {
        let sum = 0;
        // As attention does: what is hidden is multiplied by nought, and no column is left out.
        for (let column = 0; column <= before + token; column += 1)
          for (let head = 0; head < HEADS; head += 1)
            sum +=
              Number(mask[row * width + column]) *
              (3 + 2 * head) *
              (present[(row * HEADS + head) * width + column] ?? 0);
        const at = (row * tokens + token) * VOCABULARY;
        if (Number.isNaN(sum)) logits.fill(NaN, at, at + VOCABULARY);
        else logits[at + (sum % VOCABULARY)] = 1 + leak(row, count);
      }
    }
    rows.push(count);
    return {
      logits: new OrtTensor('float32', logits, [count, tokens, VOCABULARY]),
      present: new OrtTensor('float32', present, [count, HEADS, width, 1]),
    };
  };
  const decoder = new Decoder({ run } as unknown as GraphSession, {
    ...program,
    contextLength,
  });
  const made: MadeGraph = { before: () => undefined, poison: undefined, rows, decoder };
  return made;
}

/** A loop that serves it, in this process. */
export class ServedGraph implements Disposable {
  readonly graph: MadeGraph;
  readonly stepper: LanguageModelStepper;
  readonly loop: StepLoop<ReturnType<LanguageModelStepper['open']>>;
  readonly #stop = new AbortController();
  readonly #items: StepItem[] = [];
  readonly #waiting = new Set<() => void>();

  /** @param columns that there is memory for; a text has no more of them than that */
  constructor(columns = 16 * 256) {
    this.graph = madeGraph(undefined, Math.min(256, Math.floor(columns / 64) * 64));
    this.stepper = new LanguageModelStepper(manifest, this.graph.decoder, undefined, {
      ...{ maxBatch: 16, maxBytes: columns * HEADS * 4, replays: false },
    });
    const write = (bytes: Buffer): boolean => {
      const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
      if (frame.type === 'STEP') this.#items.push(...frame.items);
      for (const check of this.#waiting) check();
      return true;
    };
    this.loop = new StepLoop(this.stepper, { write, drained: () => Promise.resolve() }, 64);
    void this.loop.run(this.#stop.signal);
  }

  /** Opens a sequence, and asks it to go on with a prompt. */
  ask(sequence: number, prompt: readonly number[], maxTokens: number, records = 1e6): void {
    this.loop.handle({ type: 'OPEN', sequence, priority: 0 });
    this.credit(sequence, records);
    this.loop.handle({
      ...{ type: 'TURN', sequence, turn: 0, prompt: '', live: false },
      parameters: { max_tokens: maxTokens },
      inputs: [tensorOf('input_ids', BigInt64Array.from(prompt, BigInt), [prompt.length])],
    });
  }

  credit(sequence: number, records: number): void {
    this.loop.handle({ type: 'CREDITS', credits: [{ sequence, records, bytes: 1e9 }] });
  }

  /** What a sequence was told so far. */
  tokens(sequence: number): number[] {
    return this.#items.flatMap((item) => {
      if (item.kind !== 'chunk' || item.sequence !== sequence) return [];
      const [output] = decodeChunk(item.chunk).outputs;
      return output === undefined ? [] : Array.from(arrayOf(output), Number);
    });
  }

  async until(holds: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const check = (): void => {
        if (!holds()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** How its turn ended. */
  async ended(sequence: number): Promise<string> {
    const ends = () =>
      this.#items.flatMap((item) =>
        item.kind === 'end' && item.sequence === sequence ? [item.end.reason] : [],
      );
    await this.until(() => ends().length > 0);
    return ends()[0] ?? '';
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}
