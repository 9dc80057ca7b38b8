/** What the text of an answer must be of. */
export interface GuideSource {
  /** Name of the parameter that said so. */
  readonly kind: 'json_schema' | 'regex' | 'choice' | 'grammar';
  /** Of choices: a JSON list of texts. */
  readonly text: string;
}

export type GuideAsked =
  /** Whether it can be compiled at all. */
  | { readonly kind: 'compile'; readonly source: GuideSource }
  /**
   * Which tokens may follow. `source` is there where `tokens` are all from the first one; otherwise they follow those
   * that were told before, `from` of them.
   */
  | {
      readonly kind: 'mask';
      readonly matcher: number;
      readonly source: GuideSource | undefined;
      readonly from: number;
      readonly tokens: readonly number[];
    }
  | { readonly kind: 'drop'; readonly matcher: number };

/**
 * A mask has a bit for each token that may follow, the lowest of each number first. `again`: the thread does not have
 * what it was told before, and is to be told all of it.
 */
export type GuideTold = Int32Array | 'again' | 'done';
