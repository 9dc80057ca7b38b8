/** What of a prompt was computed before, and what of a turn is kept for the next prompts. */
import type { LanguageSequence, LanguageTurn } from '../turn';
import { BLOCK } from './prefix-store';
import type { PrefixStore } from './prefix-store';

export interface PromptCacheOptions {
  /** What was chosen is computed otherwise in the next prompt: it is not kept. */
  readonly replays: boolean;
  /** Nothing is kept: everything depends on what was computed with it. */
  readonly byRun: boolean;
}

export class PromptCache {
  readonly #store: PrefixStore;
  readonly #options: PromptCacheOptions;

  constructor(store: PrefixStore, options: PromptCacheOptions) {
    this.#store = store;
    this.#options = options;
  }

  /**
   * Puts what is known of the tokens into a sequence's row. At least two are left, so that no part is of one.
   *
   * @param end tokens that are computed as a prompt
   * @returns how many are known
   */
  reuse(sequence: LanguageSequence, turn: LanguageTurn, end: number): number {
    const { slot, left, owner } = sequence;
    if (slot === undefined) return 0;
    const row = { buffer: slot.cohort.buffer, row: slot.row };
    const most = Math.max(0, end - 2);
    const reused = this.#store.reuse(owner, turn.tokens, most, { sequence, left }, row);
    slot.length = reused.length;
    sequence.prefilled = reused.prefilled;
    // Later it is what this turn computed itself, before its row was given up.
    if (turn.answer.length === 0) turn.cached = Math.min(turn.prompt, reused.length);
    return reused.length;
  }

  /** Its prompt is computed: others of its owner may begin with it. */
  share({ slot, owner, prefilled }: LanguageSequence, tokens: readonly number[]): void {
    if (slot === undefined || this.#options.byRun) return;
    const { cohort, row } = slot;
    this.#store.share(owner, tokens, prefilled, { buffer: cohort.buffer, row });
  }

  /** Keeps the cache of a turn that ends for the next one of its session. False where nothing is kept. */
  leave(sequence: LanguageSequence): boolean {
    const { replays, byRun } = this.#options;
    if (byRun) return false;
    const { slot, turn, owner, prefilled } = sequence;
    if (slot === undefined || turn?.state !== 'running') return true;
    const from = owner === '' ? 0 : prefilled - (prefilled % BLOCK);
    const tokens = turn.tokens.slice(0, replays ? prefilled : slot.length);
    sequence.left = { from, tokens, prefilled };
    this.#store.leave(sequence, sequence.left, { buffer: slot.cohort.buffer, row: slot.row });
    return true;
  }
}
