import type { CabstandError } from '@cabstand/core';
import type { OpenedEvent } from '../protocol/events';
import type { RetryNotice } from '../retry/opener';
import type { TurnResult } from './chunk';

/** What a session tells besides its records. Listeners must not throw. */
export interface SessionEvents {
  /** A hoster has opened the session. */
  opened: [OpenedEvent];
  /** A hoster failed or refused before the first record; the next attempt follows. */
  retry: [RetryNotice];
  /** Waiting for a slot at the hoster, behind this many others. */
  queued: [{ readonly position: number }];
  /** Work goes on though no record comes out. */
  progress: [{ readonly done: number; readonly total: number }];
  /** The hoster wants to go within this time. */
  draining: [{ readonly deadlineMs: number }];
  turnEnd: [TurnResult];
  /** The session cannot go on. */
  failed: [CabstandError];
  closed: [];
}

export type Emit = <K extends keyof SessionEvents>(name: K, ...args: SessionEvents[K]) => void;
