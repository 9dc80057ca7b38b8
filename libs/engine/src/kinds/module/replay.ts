/** What an author was given in a life before this one: it is given again, at the same of his calls. */
import { CabstandError } from '@cabstand/core';
import type { Replay, ReplayEntry } from '../../frames/module-frames';
import type { CommandCall } from './inbox';

/**
 * Of a session that is computed once more. Entries come in the order of their records, so that the next one
 * says all: if it belongs to a later call, this call was given nothing.
 */
export class ReplayLog {
  readonly #entries: readonly ReplayEntry[];
  #at = 0;

  constructor(replay: Replay | undefined) {
    this.#entries = replay?.entries ?? [];
  }

  /** All of it was given. */
  get empty(): boolean {
    return this.#at === this.#entries.length;
  }

  command(point: number): CommandCall | undefined {
    const entry = this.#due(point);
    if (entry?.kind !== 'command') return undefined;
    this.#at += 1;
    return entry;
  }

  /** Number of the part; `took` passes over it. */
  part(point: number): number | undefined {
    const entry = this.#due(point);
    return entry?.kind === 'part' ? entry.part : undefined;
  }

  took(): void {
    this.#at += 1;
  }

  /** The value recorded under one of the names. */
  value(point: number, names: readonly string[]): { name: string; json: string } | undefined {
    const entry = this.#due(point);
    if (entry?.kind !== 'value' || !names.includes(entry.name)) return undefined;
    this.#at += 1;
    return entry;
  }

  /** Whether this very value comes next. */
  mark(point: number, name: string, json: string): boolean {
    const entry = this.#due(point);
    if (entry?.kind !== 'value' || entry.name !== name || entry.json !== json) return false;
    this.#at += 1;
    return true;
  }

  /** @throws CabstandError SESSION_LOST where an earlier call was given what it did not take this time. */
  #due(point: number): ReplayEntry | undefined {
    const entry = this.#entries[this.#at];
    if (entry !== undefined && entry.point < point)
      throw notDeterministic(`call ${entry.point} took no ${entry.kind} this time`);
    return entry?.point === point ? entry : undefined;
  }
}

export function notDeterministic(why: string): CabstandError {
  return new CabstandError(
    'SESSION_LOST',
    `the module declares survival: replay, but did something else the second time (${why}): what is not the same ` +
      'in a second run belongs into ctx.record() or ctx.random()',
    { metadata: { problem: 'not_deterministic' } },
  );
}
