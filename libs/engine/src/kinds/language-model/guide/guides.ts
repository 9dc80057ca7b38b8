/** Grammars of a model's turns: refused, or compiled and followed, beside the engine's loop. */
import { CabstandError, invalid } from '@cabstand/core';
import type { LanguageModelProgram } from '@cabstand/model';
import { ThreadQueue } from '../thread-queue';
import { Guide } from './guide';
import type { GuideThreadData } from './guide-thread';
import { followedSchema } from './json-schema';
import type { GuideAsked, GuideSource, GuideTold } from './source';

/** Longest that a grammar may take to be compiled. */
const COMPILE_MS = 5000;
/** Longest that the thread may take to say what may follow; usually less than a millisecond. */
const MASK_MS = 15_000;
/** Verdicts that are kept. */
const MOST_KNOWN = 1024;

export interface GuideLimits {
  readonly compileMs: number;
  readonly maskMs: number;
}

/**
 * One thread tries whether a grammar can be compiled: it may run out of time, or abort, and nobody else is hurt. The
 * other one follows those that can, and compiles each of them again for that.
 */
export class Guides implements AsyncDisposable {
  readonly #trials: ThreadQueue<GuideAsked, GuideTold>;
  readonly #followers: ThreadQueue<GuideAsked, GuideTold>;
  /** By the JSON of the source: undefined where it can be compiled; those used last are behind. */
  readonly #known = new Map<string, CabstandError | undefined>();
  #matchers = 0;

  constructor(
    { file }: NonNullable<LanguageModelProgram['tokenizer']>,
    { vocabularySize, endTokens }: Pick<LanguageModelProgram, 'vocabularySize' | 'endTokens'>,
    { compileMs, maskMs }: GuideLimits = { compileMs: COMPILE_MS, maskMs: MASK_MS },
  ) {
    const data: GuideThreadData = { file, size: vocabularySize, ends: endTokens };
    const thread = { entry: 'kinds/language-model/guide/guide-thread.js', data };
    this.#trials = new ThreadQueue({
      ...thread,
      limitMs: compileMs,
      tooLong: (asked) => tooLong(asked, `a grammar that can be compiled in ${compileMs / 1000} s`),
    });
    this.#followers = new ThreadQueue({
      ...thread,
      limitMs: maskMs,
      tooLong: (asked) =>
        tooLong(asked, `a grammar that says what may follow in ${maskMs / 1000} s`),
    });
  }

  /**
   * @param owner of several the owners take turns
   * @param signal gives it up
   * @throws CabstandError PARAMETER_INVALID for what cannot be followed, LIMIT_EXCEEDED for what takes too long,
   *   CANCELLED.
   */
  async open(source: GuideSource, owner: string, signal?: AbortSignal): Promise<Guide> {
    const { kind, text } = source;
    const followed = kind === 'json_schema' ? { kind, text: followedSchema(text) } : source;
    const key = JSON.stringify(followed);
    if (!this.#known.has(key)) this.#learn(key, await this.#verdict(followed, owner, signal));
    const error = this.#known.get(key);
    if (error !== undefined) throw error;
    this.#matchers += 1;
    return new Guide(this.#followers, this.#matchers, followed, owner);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#trials[Symbol.asyncDispose]();
    await this.#followers[Symbol.asyncDispose]();
  }

  async #verdict(
    source: GuideSource,
    owner: string,
    signal: AbortSignal | undefined,
  ): Promise<CabstandError | undefined> {
    try {
      await this.#trials.ask({ kind: 'compile', source }, owner, signal);
      return undefined;
    } catch (error) {
      const refused = CabstandError.from(error);
      // What takes too long on a busy machine may not do so later.
      if (refused.reason !== 'PARAMETER_INVALID') throw refused;
      return refused;
    }
  }

  #learn(key: string, verdict: CabstandError | undefined): void {
    this.#known.set(key, verdict);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }
}

function tooLong(asked: GuideAsked, expected: string): CabstandError {
  const source = asked.kind === 'drop' ? undefined : asked.source;
  return invalid(
    'LIMIT_EXCEEDED',
    `parameter ${source?.kind ?? 'grammar'}`,
    source?.text,
    expected,
  );
}
