/** What only modules send and are sent: commands, stops, replays, records other than chunks, logs. */

/** Why a session is to come to its end. */
export const STOP_REASONS = ['cancelled', 'stopped', 'timed_out', 'evicted'] as const;
export type StopReason = (typeof STOP_REASONS)[number];

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A caller's command to the running turn. */
export interface CommandFrame {
  readonly type: 'COMMAND';
  readonly sequence: number;
  readonly turn: number;
  /** Of the session, from 0. One that was applied already is passed over. -1: not numbered, applied each time. */
  readonly number: number;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

/**
 * Tells the author's code to come to its end; the turn's end follows, with this reason. Past the grace the
 * engine gives up: the code is left alone where the thread answers, and otherwise the process exits.
 */
export interface StopFrame {
  readonly type: 'STOP';
  readonly sequence: number;
  readonly reason: StopReason;
  readonly graceMs: number;
}

/** Who reads the session of a module from now on: a hint for its author. */
export interface ReadersFrame {
  readonly type: 'READERS';
  readonly sequence: number;
  readonly consumer: boolean;
  readonly viewers: number;
}

/** What the author was given, and at which of his calls. */
export type ReplayEntry =
  | {
      readonly kind: 'command';
      /** Of the session, from 0; -1 where it had none. */
      readonly number: number;
      readonly name: string;
      /** JSON text. */
      readonly arguments: string;
      readonly point: number;
    }
  /** The content of the part comes as INPUT again. */
  | { readonly kind: 'part'; readonly part: number; readonly point: number }
  | {
      readonly kind: 'value';
      readonly name: string;
      /** JSON text. */
      readonly json: string;
      readonly point: number;
    };

/** How a turn came to be where it is after its snapshot, or since its start: it is computed once more. */
export interface Replay {
  /** Since the snapshot, in order. */
  readonly entries: readonly ReplayEntry[];
  /** Records of the turn that exist already, counted from its start, entries included. */
  readonly records: number;
  /** CRC-32 after them; the turn ends with SESSION_LOST where the engine comes to another one. */
  readonly chain: number;
}

/** What a module says of itself when it is loaded. */
export interface ModuleDescription {
  readonly commands: readonly CommandDescription[];
  /** Checkpoints of another one are migrated, or refused. */
  readonly stateVersion: number;
}

export interface CommandDescription {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema. Absent: anything. */
  readonly arguments?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
}

/** Number of a body in cabstand.v1.Record. */
export const RecordField = {
  chunk: 4,
  applied: 5,
  input: 6,
  message: 8,
  result: 9,
  recorded: 10,
} as const;

/** Bits of a record's flags. */
export const RecordFlag = {
  /** It belongs together with the record after it. */
  more: 1,
  /** Who only watches may begin here. */
  key: 2,
} as const;

/** One record of a module, whatever is in it; it takes credit as a chunk does. */
export interface RecordItem {
  readonly kind: 'record';
  readonly sequence: number;
  readonly turn: number;
  /** Of `RecordField`: what `body` is. */
  readonly field: number;
  /** Sum of `RecordFlag`. */
  readonly flags: number;
  /** Number of the author's call, u32. */
  readonly point: number;
  /** CRC-32 over the bodies of all records of the session up to this one; 0 where none is kept. */
  readonly chain: number;
  /** The serialized message of the field. */
  readonly body: Buffer;
}

/** A side message that is no record: nobody keeps it. */
export interface NoticeItem {
  readonly kind: 'notice';
  readonly sequence: number;
  readonly turn: number;
  /** At most 65,535 bytes of UTF-8. */
  readonly name: string;
  /** JSON text. */
  readonly json: string;
}

/** As `number` of a held item: it says that the author waits for input, and of how many parts he had so far. */
export const HELD_PARTS = -2;

/**
 * A command was carried out, and its two records are kept back until the author's next checkpoint; it takes no credit.
 */
export interface HeldItem {
  readonly kind: 'held';
  readonly sequence: number;
  readonly turn: number;
  /** Of the command; -1 where it has none; HELD_PARTS. */
  readonly number: number;
  /** Of the bodies of both records; of HELD_PARTS the parts of the turn that the author took. */
  readonly bytes: number;
}

/** A session whose author has called nothing for this long, and waits in no call. */
export interface SilentSequence {
  readonly sequence: number;
  readonly ms: number;
}

/** What an author's code wrote to its log. */
export interface LogFrame {
  readonly type: 'LOG';
  readonly level: LogLevel;
  /** Absent: of no session in particular. */
  readonly sequence?: number;
  readonly message: string;
  /** The engine says it, not the author: the session is over, and its code is not. */
  readonly stray?: boolean;
}
