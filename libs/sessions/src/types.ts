/** Words of the session core. It knows nothing of gRPC. */
import type { CabstandError } from '@cabstand/core';
import type { TurnStart } from './engine/engine';

/** Why a session ended, or one of its turns. */
export type EndReason =
  'completed' | 'stopped' | 'cancelled' | 'timed_out' | 'evicted' | 'migrated' | 'lost' | 'error';

export interface SessionEnd {
  readonly reason: EndReason;
  /** What the consumer is told where the end is no ordinary one. */
  readonly error?: CabstandError;
}

/** Who may advance a session. */
export interface Epoch {
  /** 0 for anonymous sessions, otherwise at least 1. */
  readonly counter: number;
  /** Hex of the consumer's random bytes; empty for anonymous sessions. */
  readonly owner: string;
}

/**
 * How long a session lives.
 * - `call`: as long as the call that opened it.
 * - `kept`: over many calls, but not over one that breaks; ends when idle.
 * - `durable`: its records wait for acknowledgement, and it for its consumer.
 */
export type Retention = 'call' | 'kept' | 'durable';

/** One record, serialized as the response message of either stream. */
export interface JournalEntry {
  readonly position: number;
  readonly turn: number;
  /** `other`: what modules have besides. */
  readonly kind: 'chunk' | 'input' | 'end' | 'other';
  readonly bytes: Buffer;
  /** Who only watches may begin here. */
  readonly key?: boolean;
  /** It holds what only the session's consumer may see. */
  readonly confidential?: boolean;
}

/** Something to tell the consumer that is not part of the stream of records. */
export type SessionNotice =
  | { readonly kind: 'queued'; readonly position: number }
  | {
      readonly kind: 'accepted';
      readonly turn: number;
      readonly nextInput: number;
      readonly wanted: number | undefined;
    }
  | { readonly kind: 'draining'; readonly deadlineMs: number }
  /** A newer checkpoint within a turn. */
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint }
  /** Work goes on though no record comes out. */
  | { readonly kind: 'progress'; readonly done: number }
  /** Nothing more is computed before an acknowledgement. Everything up to `position` was sent. */
  | { readonly kind: 'ack_wanted'; readonly position: number }
  /** So many records were left out: only for who watches. */
  | { readonly kind: 'skipped'; readonly records: number }
  /** A module told it; it may be lost. */
  | {
      readonly kind: 'module';
      readonly turn: number;
      readonly name: string;
      readonly json: string;
    };

/** What the consumer keeps, to go on elsewhere. */
export interface Checkpoint {
  /** Position of the next record after it. */
  readonly position: number;
  readonly sealed: Buffer;
}

/** Why a consumer hears no more. */
export type Detachment =
  | { readonly kind: 'ended'; readonly end: SessionEnd }
  /** Another call took the session over. */
  | { readonly kind: 'replaced'; readonly error: CabstandError };

/** Whoever reads a session. Its methods are called in order and must not throw. */
export interface Consumer {
  /** Takes one record. False: no room for more until it calls `Attachment.resume`. */
  record(entry: JournalEntry): boolean;
  notice(notice: SessionNotice): void;
  /** This turn is over, and the consumer had its end of turn before it came. */
  turnOver?(turn: number): void;
  detached(cause: Detachment): void;
}

/** A consumer's hold on a session. All methods do nothing once it is detached. */
export interface Attachment {
  /** There is room again. */
  resume(): void;
  /** The consumer is gone: its call was cancelled, its connection lost or its deadline passed. */
  detach(reason: 'cancelled' | 'timed_out'): void;
}

/** What a turn computes on. */
export type TurnContent = TurnStart;

/** What `Session.startTurn` did. */
export type TurnOutcome =
  | 'started'
  /** The same turn was sent before and runs. */
  | 'running'
  /** The same turn was sent before and is over. */
  | 'over';

export type SessionState =
  /** Admitted into the queue, waiting for a slot. */
  | 'waiting'
  /** A consumer is attached. */
  | 'streaming'
  /** None is, and the session waits for one. */
  | 'orphaned'
  /** What is left is being delivered; nothing new is taken. */
  | 'closing'
  | 'ended';

export interface SessionStatus {
  readonly id: string;
  readonly state: SessionState;
  /** Next position to be produced. */
  readonly position: number;
  /** The turn that runs or ran last; -1 before the first. */
  readonly turn: number;
  /** Whether it has not come to its end. */
  readonly turnRuns: boolean;
  /** Everything up to it is acknowledged; -1 for nothing. */
  readonly acknowledged: number;
  readonly epoch: number;
  readonly model: string;
  readonly end: SessionEnd | undefined;
}
