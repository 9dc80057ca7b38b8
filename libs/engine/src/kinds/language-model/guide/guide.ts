/** Follows one answer with its grammar. Threads may be lost: all that they know follows from the answer's tokens. */
import { CabstandError } from '@cabstand/core';
import type { ThreadQueue } from '../thread-queue';
import type { GuideAsked, GuideSource, GuideTold } from './source';

export type GuideThread = Pick<ThreadQueue<GuideAsked, GuideTold>, 'ask'>;

export class Guide {
  readonly #thread: GuideThread;
  readonly #matcher: number;
  readonly #source: GuideSource;
  readonly #owner: string;
  /** Tokens that the thread was told. */
  #told = 0;
  /** For so many tokens the mask is there, or asked for. */
  #for = -1;
  #asked: Promise<void> = Promise.resolve();
  #mask: Int32Array | undefined;

  /** @param matcher its number in the thread */
  constructor(thread: GuideThread, matcher: number, source: GuideSource, owner: string) {
    this.#thread = thread;
    this.#matcher = matcher;
    this.#source = source;
    this.#owner = owner;
  }

  /** A bit for each token that may follow those that `prepare` was given last. */
  get mask(): Int32Array | undefined {
    return this.#mask;
  }

  /**
   * Finds which tokens may follow. The same tokens again are not asked for again.
   *
   * @param tokens all of the answer so far: those of before, and others behind them
   * @throws CabstandError LIMIT_EXCEEDED where that takes too long
   */
  prepare(tokens: readonly number[]): Promise<void> {
    if (this.#for !== tokens.length) {
      this.#for = tokens.length;
      this.#asked = this.#ask(tokens);
    }
    return this.#asked;
  }

  /** The answer is over. */
  close(): void {
    void this.#thread
      .ask({ kind: 'drop', matcher: this.#matcher }, this.#owner)
      .catch(() => undefined);
  }

  async #ask(tokens: readonly number[]): Promise<void> {
    let told: GuideTold = 'again';
    if (this.#told > 0) told = await this.#from(this.#told, tokens);
    if (told === 'again') told = await this.#from(0, tokens);
    if (!(told instanceof Int32Array))
      throw new CabstandError('INTERNAL', `asked what may follow, the thread answered ${told}`);
    this.#told = tokens.length;
    this.#mask = told;
  }

  #from(from: number, tokens: readonly number[]): Promise<GuideTold> {
    const source = from === 0 ? this.#source : undefined;
    const next = tokens.slice(from);
    return this.#thread.ask(
      { kind: 'mask', matcher: this.#matcher, source, from, tokens: next },
      this.#owner,
    );
  }
}
