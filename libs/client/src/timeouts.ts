import type { NamesOf } from '@cabstand/core';
import { checkNumber } from './checks';

/** How long to wait for what. All in milliseconds; `Infinity` switches a deadline off. */
export interface TimeoutOptions {
  /**
   * From sending a turn to its first record on one hoster. A queue or progress notice starts it anew.
   * NODE_STALLED after it, and the next hoster is tried. Default 10000.
   */
  readonly firstMs?: number;
  /**
   * Between two records, or five times the longest wait for one so far, whichever is longer. Runs only
   * while the application waits for a record; starts anew with each notice, and once after the
   * application's own event loop was blocked. In a live turn it runs only after `end()` or while
   * `write()` waits for the hoster. NODE_STALLED after it. Default 10000.
   */
  readonly stallMs?: number;
  /** A whole turn, from the first `next()` to the end. DEADLINE_EXCEEDED after it. Default Infinity. */
  readonly turnMs?: number;
  /**
   * From the start of a session's first turn to its first record, all hosters tried and all pauses
   * between them included. A progress notice starts it anew. The last hoster's error after it. Default 30000.
   */
  readonly placeMs?: number;
  /** Goodbyes: closing a session, cancelling a turn. What has not answered is left. Default 2000. */
  readonly closeMs?: number;
  /**
   * How long `write()` of a live turn waits for room because the turn's chunks are not being read.
   * LIMIT_EXCEEDED after it. Default 30000.
   */
  readonly writeMs?: number;
  /**
   * How long a durable session whose hoster is lost looks for one to go on with, restarts of its own
   * hoster included. What stood in the way last after it. Default 30000.
   */
  readonly recoverMs?: number;
  /**
   * How long the hoster of a broken stream has to take the session up again, before another one does. One that is
   * taken over by its name has `firstMs`.
   * Default 300.
   */
  readonly reattachMs?: number;
}

export const TIMEOUT_NAMES = {
  firstMs: true,
  stallMs: true,
  turnMs: true,
  placeMs: true,
  closeMs: true,
  writeMs: true,
  recoverMs: true,
  reattachMs: true,
} satisfies NamesOf<TimeoutOptions>;

export type Timeouts = Required<TimeoutOptions>;

const DEFAULTS: Timeouts = {
  firstMs: 10_000,
  stallMs: 10_000,
  turnMs: Infinity,
  placeMs: 30_000,
  closeMs: 2_000,
  writeMs: 30_000,
  recoverMs: 30_000,
  reattachMs: 300,
};

export function withTimeoutDefaults(
  options: TimeoutOptions = {},
  base: Timeouts = DEFAULTS,
): Timeouts {
  const check = (key: keyof Timeouts): number =>
    checkNumber(`timeouts.${key}`, options[key] ?? base[key], 1, { infinite: true });
  return {
    firstMs: check('firstMs'),
    stallMs: check('stallMs'),
    turnMs: check('turnMs'),
    placeMs: check('placeMs'),
    closeMs: check('closeMs'),
    writeMs: check('writeMs'),
    recoverMs: check('recoverMs'),
    reattachMs: check('reattachMs'),
  };
}
