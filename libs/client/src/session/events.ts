import type { CabstandError } from '@cabstand/core';
import type { Target } from '../protocol/types';
import type { OpenedEvent } from '../protocol/events';
import type { RetryNotice } from '../retry/opener';
import type { TurnResult } from './chunk';

/** A durable session whose stream broke, or whose hoster wants to go. */
export interface RecoveringNotice {
  readonly cause: CabstandError;
  /** The hoster that had the session. */
  readonly from: Target;
  /** The next position wanted. */
  readonly position: number;
}

/** The stream goes on. */
export interface RecoveredNotice extends RecoveringNotice {
  /** The hoster that has the session now; the same one where it was taken up again there. */
  readonly to: Target;
  /** Milliseconds from when the break was noticed to the next record. */
  readonly gapMs: number;
  /** Hosters tried until then. */
  readonly attempts: number;
}

/** What a module told with `ctx.send`: it is never lost and never comes twice. */
export interface MessageNotice {
  readonly name: string;
  /** What the module sent, as JSON says it. */
  readonly message: unknown;
  /** Number of the record: the message comes after all chunks of lower positions. */
  readonly position: number;
  readonly turn: number;
}

/** What a module told with `ctx.notify`: it may be lost. */
export interface ModuleNotice {
  readonly name: string;
  readonly value: unknown;
  readonly turn: number;
}

/** What a session tells besides its records. Listeners must not throw. */
export interface SessionEvents {
  /** A hoster has opened the session. */
  opened: [OpenedEvent];
  /** A hoster failed or refused before the record that was asked of it; the next attempt follows. */
  retry: [RetryNotice];
  /** Waiting for a slot at the hoster, behind this many others. */
  queued: [{ readonly position: number }];
  /** Work goes on though no record comes out. */
  progress: [{ readonly done: number; readonly total: number }];
  /** A module sent a message: told once all chunks before it were asked for, and before the next one. */
  message: [MessageNotice];
  /** A module told something to whoever reads right now. */
  notice: [ModuleNotice];
  /** Only for who watches: so many records were left out. */
  skipped: [{ readonly records: number }];
  /** The hoster wants to go within this time. */
  draining: [{ readonly deadlineMs: number }];
  /** The stream broke, or its hoster wants to go; the session looks for where to go on. */
  recovering: [RecoveringNotice];
  /** The first record after that is here. */
  recovered: [RecoveredNotice];
  turnEnd: [TurnResult];
  /** The session cannot go on. */
  failed: [CabstandError];
  closed: [];
}

export type Emit = <K extends keyof SessionEvents>(name: K, ...args: SessionEvents[K]) => void;
