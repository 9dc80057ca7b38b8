/**
 * What becomes of the scores of the next token before it is chosen, in this order: the grammar's mask, biases,
 * repetition, frequency and presence, what the model's files keep out, runs that came before, ends that come too early. Biases, repetition and
 * runs are those of transformers, frequency and presence those of vLLM and OpenAI. Written to float32 after each,
 * as transformers does.
 */
import type { ScoreRange } from '../../../output/scores';
import type { ChoiceSettings } from './settings';

/** A row of scores at a time is changed, and chosen from before the next one. */
let scratch = new Float32Array(0);

type Settings = Pick<ChoiceSettings, 'penalties' | 'minTokens' | 'endTokens'>;

export class ScoreEdits {
  readonly #settings: Settings;
  /** Those of the prompt, then those of the answer. */
  readonly #tokens: readonly number[];
  readonly #prompt: number;
  /** How often a token is in the answer. */
  readonly #counts = new Map<number, number>();
  /** Tokens of prompt and answer, each once. */
  readonly #seen: Set<number>;
  readonly #always: boolean;

  /** @param tokens of the prompt; those of the answer are put behind them, and told of by `took` */
  constructor(settings: Settings, tokens: readonly number[]) {
    this.#settings = settings;
    this.#tokens = tokens;
    this.#prompt = tokens.length;
    const { biases, repetition, frequency, presence, noRepeatNgram, suppressed } =
      settings.penalties;
    this.#seen = new Set(repetition === 1 ? [] : tokens);
    this.#always =
      biases.length > 0 ||
      repetition !== 1 ||
      frequency !== 0 ||
      presence !== 0 ||
      noRepeatNgram > 0 ||
      suppressed.always.length > 0;
  }

  took(id: number): void {
    const { repetition, frequency, presence } = this.#settings.penalties;
    if (repetition !== 1) this.#seen.add(id);
    if (frequency !== 0 || presence !== 0) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
  }

  /**
   * The scores to choose from. They are good until the next call, of any turn.
   *
   * @param mask a bit for each token that the grammar allows
   */
  apply(range: ScoreRange, mask: Int32Array | undefined): ScoreRange {
    const chosen = this.#tokens.length - this.#prompt;
    const early = chosen < this.#settings.minTokens;
    const { always, first } = this.#settings.penalties.suppressed;
    const suppressed = chosen === 0 ? [...always, ...first] : always;
    if (!this.#always && !early && suppressed.length === 0 && mask === undefined) return range;
    const { count, offset } = range;
    if (scratch.length < count) scratch = new Float32Array(count);
    const scores = scratch.subarray(0, count);
    scores.set(range.scores.subarray(offset, offset + count));
    if (mask !== undefined) maskScores(scores, mask);
    this.#penalise(scores);
    for (const id of suppressed) if (id < count) scores[id] = -Infinity;
    const banned = this.#banRuns(scores);
    if (early)
      for (const id of this.#settings.endTokens)
        if (id < count) banned.push([id, replace(scores, id, -Infinity)]);
    // Where nothing is left, what a grammar allows goes before what was asked to be avoided.
    if (banned.length > 0 && scores.every((score) => score === -Infinity))
      for (const [id, score] of banned.reverse()) scores[id] = score;
    return { scores, offset: 0, count };
  }

  #penalise(scores: Float32Array): void {
    const { biases, repetition, frequency, presence } = this.#settings.penalties;
    for (const [id, bias] of biases)
      if (id < scores.length) scores[id] = (scores[id] as number) + bias;
    for (const id of this.#seen) {
      const score = scores[id];
      if (score !== undefined) scores[id] = score < 0 ? score * repetition : score / repetition;
    }
    for (const [id, times] of this.#counts) {
      if (id >= scores.length) continue;
      scores[id] = (scores[id] as number) - frequency * times;
      scores[id] -= presence;
    }
  }

  /** Tokens that would make a run of tokens come again. */
  #banRuns(scores: Float32Array): [id: number, score: number][] {
    const size = this.#settings.penalties.noRepeatNgram;
    const banned: [number, number][] = [];
    const tokens = this.#tokens;
    if (size === 0 || tokens.length + 1 < size) return banned;
    const start = tokens.length - (size - 1);
    for (let from = 0; from + size <= tokens.length; from += 1) {
      let same = 0;
      while (same < size - 1 && tokens[from + same] === tokens[start + same]) same += 1;
      const id = tokens[from + size - 1] as number;
      if (same === size - 1 && id < scores.length)
        banned.push([id, replace(scores, id, -Infinity)]);
    }
    return banned;
  }
}

function maskScores(scores: Float32Array, mask: Int32Array): void {
  for (let id = 0; id < scores.length; id += 1)
    if ((((mask[id >> 5] ?? 0) >>> (id & 31)) & 1) === 0) scores[id] = -Infinity;
}

function replace(scores: Float32Array, id: number, score: number): number {
  const before = scores[id] as number;
  scores[id] = score;
  return before;
}
