import type { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';

/** What became of an answer of a language model, in tokens. */
export interface Generation {
  /**
   * `stop`: at a token or text that ends it. `length`: it may have no more tokens. Absent: something else ended the
   * turn.
   */
  readonly finish?: 'stop' | 'length';
  readonly prompt: number;
  /** How many of the prompt's were not computed for this turn. */
  readonly cached: number;
  /** The one that ended the answer included. */
  readonly answer: number;
}

/** How a turn ended; `cabstand.v1.EndReason` in lower case. */
export type EndReason =
  'completed' | 'stopped' | 'cancelled' | 'timed_out' | 'evicted' | 'migrated' | 'lost' | 'error';

export const END_REASONS: readonly EndReason[] = [
  'completed',
  'stopped',
  'cancelled',
  'timed_out',
  'evicted',
  'migrated',
  'lost',
  'error',
];

/** A snapshot of a session that only hosters can read. */
export interface Checkpoint {
  /** Position of the next record after it. */
  readonly position: number;
  readonly sealed: Uint8Array;
}

/** What a session of a module outlives: the loss of its consumer only, or also of its engine and hoster. */
export type Survival = 'none' | 'replay' | 'commit';

interface RecordBase {
  readonly type: 'record';
  readonly position: number;
  readonly turn: number;
  readonly epoch: number;
  /** Number of the author's call that it belongs to; modules only. */
  readonly point?: number;
  /** CRC-32 over all records of the session so far; modules that survive by replay only. */
  readonly chain?: number;
  /** It counts once the records after it have come, up to one without this. */
  readonly more?: boolean;
  /** The session as it is after this record; modules that survive by commit only. */
  readonly sealed?: Checkpoint;
  /** Who only watches may begin here. */
  readonly key?: boolean;
}

/** One thing of a session's stream; positions count from 0 without gaps. */
export type RecordEvent =
  | (RecordBase & {
      readonly body: 'chunk';
      readonly tensors: readonly Tensor[];
      readonly text: string;
      /** Tensors and text as a `cabstand.v1.Chunk`, where they came as one: for who passes them on. */
      readonly wire?: Uint8Array;
    })
  | (RecordBase & {
      readonly body: 'command';
      readonly sequence: number;
      readonly name: string;
      readonly arguments: string;
    })
  | (RecordBase & { readonly body: 'input'; readonly sequence: number })
  | (RecordBase & { readonly body: 'message'; readonly name: string; readonly value: unknown })
  /** How a command ended: with an error if that is set. */
  | (RecordBase & {
      readonly body: 'result';
      readonly sequence: number;
      readonly value: unknown;
      readonly error: CabstandError | undefined;
    })
  /** What a module found out; `json` as it came. */
  | (RecordBase & { readonly body: 'recorded'; readonly name: string; readonly json: string })
  /** Something that only a newer client knows: it takes its position, and nobody is given it. */
  | (RecordBase & { readonly body: 'unknown' })
  | (RecordBase & {
      readonly body: 'end';
      readonly reason: EndReason;
      readonly error: CabstandError | undefined;
      readonly steps: number;
      /** Why it computed nothing; empty if it did. */
      readonly note?: string;
      /** What became of an answer of a language model. */
      readonly generation?: Generation;
      /** Of a module: its session takes another turn. */
      readonly goesOn?: boolean;
      readonly checkpoint: Checkpoint | undefined;
    });

/** Where a session was opened. */
export interface OpenedEvent {
  readonly type: 'opened';
  readonly sessionId: string;
  /** The next position to be produced. */
  readonly position: number;
  readonly model: string;
  readonly version: string;
  readonly digest: string;
  readonly provider: string;
  /** Records between two acks of a client that counts nothing else; 0 where none are needed. */
  readonly ackEvery: number;
  /** Records or bytes between two acks, whichever comes first; 0 where the hoster does not say. */
  readonly ackRecords: number;
  readonly ackBytes: number;
  /** Number of the next command to a module. Default 0. */
  readonly nextCommand?: number;
  /** Of a module's session. */
  readonly survival?: Survival | undefined;
  readonly nodeId: string;
  readonly incarnation: string;
}

/** Not part of the stream of records: has no position and is not sent again. */
export type NoticeEvent =
  | OpenedEvent
  /** Waiting for a slot behind this many others. */
  | { readonly type: 'queued'; readonly position: number }
  /** Work goes on though no record comes out. */
  | { readonly type: 'progress'; readonly done: number; readonly total: number }
  /** The hoster wants to go. */
  | { readonly type: 'draining'; readonly deadlineMs: number }
  | { readonly type: 'checkpoint'; readonly checkpoint: Checkpoint }
  /** What a module tells whoever reads right now. */
  | {
      readonly type: 'module';
      readonly turn: number;
      readonly name: string;
      readonly value: unknown;
    }
  /** A viewer was behind: so many records were left out. */
  | { readonly type: 'skipped'; readonly records: number }
  /** Nothing more is computed before an ack. */
  | { readonly type: 'ackWanted'; readonly position: number }
  /** Parts of live input below `nextPart` are taken. */
  | {
      readonly type: 'accepted';
      readonly turn: number;
      readonly nextPart: number;
      /** The hoster has the parts below it, and needs more before it can use any of them up. */
      readonly wanted?: number;
    };

export type ProtocolEvent =
  | RecordEvent
  | NoticeEvent
  /** The session has ended; nothing follows. */
  | {
      readonly type: 'closed';
      readonly reason: EndReason;
      readonly error: CabstandError | undefined;
    };
