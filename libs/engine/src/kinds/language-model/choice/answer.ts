/**
 * The answer of a turn as it grows: from the scores of the next token to the token, its text, and whether it is the
 * last one. All of it follows from prompt, settings and tokens: whoever goes on with an answer gives its tokens again.
 */
import { chooseToken } from '../../../output/sampling';
import type { ScoreRange } from '../../../output/scores';
import { unfit } from '../../../snapshot/bytes';
import type { Guide } from '../guide/guide';
import type { TextStream } from '../text-stream';
import { logprobsOf } from './logprobs';
import type { TokenLogprobs } from './logprobs';
import { ScoreEdits } from './penalties';
import type { ChoiceSettings } from './settings';
import { StopScanner } from './stop-text';
import type { StopText } from './stop-text';

/** Why an answer ended: at a token or text that ends it, or because it may have no more tokens. */
export type FinishReason = 'stop' | 'length';

export interface Choice {
  readonly token: number;
  /** What is whole of its text; empty without a tokenizer. */
  readonly text: string;
  readonly logprobs: TokenLogprobs | undefined;
  /** Undefined: more tokens follow. */
  readonly finish: FinishReason | undefined;
}

export class Answer {
  /** Those of the prompt, then those that were chosen. */
  readonly tokens: number[];
  readonly #prompt: number;
  readonly #settings: ChoiceSettings;
  readonly #text: TextStream | undefined;
  readonly #stops: StopScanner;
  readonly #edits: ScoreEdits;
  readonly #guide: Guide | undefined;
  #finish: FinishReason | undefined;

  constructor(
    settings: ChoiceSettings,
    prompt: readonly number[],
    text: TextStream | undefined,
    guide: Guide | undefined,
  ) {
    this.tokens = [...prompt];
    this.#prompt = prompt.length;
    this.#settings = settings;
    this.#text = text;
    this.#stops = new StopScanner(settings.stops, settings.includeStop);
    this.#edits = new ScoreEdits(settings, this.tokens);
    this.#guide = guide;
  }

  /** Tokens that were chosen. */
  get length(): number {
    return this.tokens.length - this.#prompt;
  }

  /** How it ended; undefined until then. */
  get finish(): FinishReason | undefined {
    return this.#finish;
  }

  /**
   * Begins to find what the next token may be: to be called before its scores are computed, and awaited before
   * `choose`. Undefined where anything may follow. Does no harm when called twice.
   *
   * @throws CabstandError LIMIT_EXCEEDED where that takes too long
   */
  prepare(): Promise<void> | undefined {
    return this.#guide?.prepare(this.tokens.slice(this.#prompt));
  }

  /**
   * Chooses the next token, which belongs to the answer from then on.
   *
   * @throws CabstandError MODEL_FAILED where the scores are no finite numbers.
   */
  choose(range: ScoreRange): Choice {
    const { sampling, logprobs } = this.#settings;
    const edited = this.#edits.apply(range, this.#guide?.mask);
    const { scores, offset, count } = edited;
    const token = chooseToken(scores, offset, count, sampling, this.length);
    const told = logprobs === undefined ? undefined : logprobsOf(range, token, logprobs);
    const taken = this.#take(token);
    this.#finish = taken.finish;
    return { token, logprobs: told, ...taken };
  }

  /** Nothing more is chosen. */
  close(): void {
    this.#guide?.close();
  }

  /**
   * A token that was chosen before, and was not the last one.
   *
   * @throws CabstandError CHECKPOINT_INVALID where the answer ends with it.
   */
  again(token: number): void {
    if (this.#take(token).finish !== undefined)
      throw unfit('turn', 'it holds tokens behind the end of the turn');
  }

  #take(token: number): Pick<Choice, 'text' | 'finish'> {
    const { endTokens, stopTokens, includeStop, minTokens, maxTokens } = this.#settings;
    this.tokens.push(token);
    this.#edits.took(token);
    // An end that comes too early could not be avoided.
    if (endTokens.has(token)) {
      const own = includeStop && stopTokens.has(token) ? (this.#text?.push(token) ?? '') : '';
      return { text: this.#last(own).text, finish: 'stop' };
    }
    const text = this.#text?.push(token) ?? '';
    const counts = this.length >= minTokens;
    const { text: before, stopped } = counts ? this.#stops.push(text) : { text, stopped: false };
    if (stopped) return { text: before, finish: 'stop' };
    if (this.length < maxTokens) return { text: before, finish: undefined };
    const last = this.#last('');
    return { text: before + last.text, finish: last.stopped ? 'stop' : 'length' };
  }

  /** All text that waits: nothing follows. */
  #last(text: string): StopText {
    const { text: before, stopped } = this.#stops.push(text + (this.#text?.flush() ?? ''));
    return { text: stopped ? before : before + this.#stops.flush(), stopped };
  }
}
