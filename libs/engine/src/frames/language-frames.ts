/** What only engines of language models tell: of an answer, and of their work. */

/** What became of an answer of a language model, in tokens. */
export interface Generation {
  /** At a token or text that ends it, or because it may have no more tokens. Absent: something else ended the turn. */
  readonly finish?: 'stop' | 'length';
  readonly prompt: number;
  /** How many of the prompt were not computed for this turn. */
  readonly cached: number;
  readonly answer: number;
}

/** Counts, and times in seconds. */
export interface LanguageFigures {
  /** Tokens of prompts that got memory since the start, and how many of these were computed before. */
  readonly promptTokens: number;
  readonly cachedPromptTokens: number;
  readonly generatedTokens: number;
  /** Turns whose cache was given up, to be computed again, since the start. */
  readonly preemptions: number;
  /** Share of the memory for caches that turns hold which run, 0 to 1. */
  readonly cacheUse: number;
  /** Of turns that came to it since the last report: until there was memory, until the first token, of each further token. */
  readonly queueSeconds: readonly number[];
  readonly firstTokenSeconds: readonly number[];
  readonly tokenSeconds: readonly number[];
}
