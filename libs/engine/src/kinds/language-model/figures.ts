/** What a language model's engine tells of its work, once a second. */
import type { LanguageFigures } from '../../frames/language-frames';

/** When a turn came to what, in ms of the process's clock; undefined: not yet. */
export interface TurnTimes {
  readonly begun: number;
  row: number | undefined;
  first: number | undefined;
  /** That were chosen since. */
  tokens: number;
}

export function newTimes(): TurnTimes {
  return { begun: performance.now(), row: undefined, first: undefined, tokens: 0 };
}

/** Further ones between two reports are not told: nobody reads so many. */
const MOST_TOLD = 1000;

export class Figures {
  readonly #counts = { promptTokens: 0, cachedPromptTokens: 0, generatedTokens: 0 };
  #queue: number[] = [];
  #first: number[] = [];
  #each: number[] = [];

  /** A turn got a row, for the first time or again: so many of its tokens were there already. */
  admitted(times: TurnTimes, tokens: number, cached: number): void {
    this.#counts.promptTokens += tokens;
    this.#counts.cachedPromptTokens += cached;
    if (times.row !== undefined) return;
    times.row = performance.now();
    note(this.#queue, times.row - times.begun);
  }

  /** @param isFirst of its turn; not that of one that goes on from elsewhere */
  chosen(times: TurnTimes, isFirst: boolean): void {
    this.#counts.generatedTokens += 1;
    times.tokens += 1;
    if (times.first !== undefined) return;
    times.first = performance.now();
    if (isFirst) note(this.#first, times.first - times.begun);
  }

  ended({ first, tokens }: TurnTimes): void {
    if (first !== undefined && tokens > 1)
      note(this.#each, (performance.now() - first) / (tokens - 1));
  }

  /** Counts since the start, and what was seen since the last time. */
  take(rest: Pick<LanguageFigures, 'preemptions' | 'cacheUse'>): LanguageFigures {
    const seen = {
      queueSeconds: this.#queue,
      firstTokenSeconds: this.#first,
      tokenSeconds: this.#each,
    };
    this.#queue = [];
    this.#first = [];
    this.#each = [];
    return { ...this.#counts, ...rest, ...seen };
  }
}

function note(values: number[], ms: number): void {
  if (values.length < MOST_TOLD) values.push(ms / 1000);
}
