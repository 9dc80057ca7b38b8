import { randomBytes, randomUUID } from 'node:crypto';
import { invalid } from '@cabstand/core';
import type { NamesOf } from '@cabstand/core';
import type { TraceContext } from '@cabstand/rpc';
import { checkNumber, checkText, checkTexts } from '../checks';
import { TIMEOUT_NAMES, withTimeoutDefaults } from '../timeouts';
import type { TimeoutOptions, Timeouts } from '../timeouts';

export interface SessionOptions {
  /** The model to use; required. */
  readonly model: string;
  /** Only hosters with exactly these weights (`sha256:…`). Default: any. */
  readonly digest?: string;
  /**
   * Name of the session: 1 to 64 of `A-Z a-z 0-9 . _ -`. Default: a random UUID, and a fresh suffix at
   * each hoster that is tried before the first record.
   */
  readonly id?: string;
  /**
   * The session outlives its hoster: a stream that breaks is taken up again where it was, at the same
   * hoster or at another one. `false`: the session is lost with its hoster, and ends when its connection
   * does. Default true.
   */
  readonly durable?: boolean;
  /**
   * Bytes of input kept for a durable session to send again: what was given since the newest
   * checkpoint. With more than that the session goes on, but cannot move to another hoster before the
   * next checkpoint: SESSION_LOST if its hoster is lost. Default 16777216.
   */
  readonly maxReplayBytes?: number;
  /** 0 to 9; higher goes first among the sessions of a hoster. Default 0. */
  readonly priority?: number;
  /** If not empty, only these node ids. Default: any. */
  readonly allow?: readonly string[] | string;
  /** Never these node ids. Default: none. */
  readonly block?: readonly string[] | string;
  /** Deadlines that differ from the manager's. */
  readonly timeouts?: TimeoutOptions;
  /** Aborts whatever the session is doing and closes it. */
  readonly signal?: AbortSignal;
}

/** How a session is found of which only the name is known. */
export interface FindOptions {
  /**
   * The model that the session uses. Needed where routers do not know the session (it is not durable): then all
   * hosters with the model are asked. Default: none.
   */
  readonly model?: string;
  /** Deadlines that differ from the manager's. */
  readonly timeouts?: TimeoutOptions;
}

/** How a session is taken over. */
export interface AttachOptions extends ImportOptions, FindOptions {
  /**
   * What comes first: the oldest record that the hoster keeps, which nobody has acknowledged, the first one
   * from now on, or the one at a position; those before it are acknowledged. Default `oldest`.
   */
  readonly from?: 'oldest' | 'now' | number;
}

/** How a session is watched. */
export interface ViewOptions extends FindOptions {
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** Of `Session.share`, where the session is another principal's. */
  readonly ticket?: string;
}

/** Who may watch a session, and for how long. */
export interface ShareOptions {
  /** How long the ticket is good, in milliseconds: 1,000 to 86,400,000. Default 3,600,000. */
  readonly ttlMs?: number;
  /** The principal whom it is for, as hosters name it. Default: whoever holds it. */
  readonly principal?: string;
  readonly signal?: AbortSignal;
}

export const SHARE_NAMES = {
  ...{ ttlMs: true, principal: true, signal: true },
} satisfies NamesOf<ShareOptions>;

/** How an imported session is used here; all else is in its handle. */
export type ImportOptions = Pick<
  SessionOptions,
  'maxReplayBytes' | 'allow' | 'block' | 'timeouts' | 'signal'
>;

export const IMPORT_NAMES = {
  maxReplayBytes: true,
  allow: true,
  block: true,
  timeouts: TIMEOUT_NAMES,
  signal: true,
} satisfies NamesOf<ImportOptions>;

export const ATTACH_NAMES = {
  ...{ ...IMPORT_NAMES, model: true, from: true },
} satisfies NamesOf<AttachOptions>;

export const VIEW_NAMES = {
  ...{ model: true, timeouts: TIMEOUT_NAMES, signal: true, ticket: true },
} satisfies NamesOf<ViewOptions>;

export const SESSION_NAMES = {
  model: true,
  digest: true,
  id: true,
  durable: true,
  priority: true,
  ...IMPORT_NAMES,
} satisfies NamesOf<SessionOptions>;

export interface SessionSettings {
  readonly model: string;
  /** Empty for any. */
  readonly digest: string;
  readonly id: string;
  /** The caller chose the id. */
  readonly named: boolean;
  readonly owner: Uint8Array;
  readonly durable: boolean;
  readonly maxReplayBytes: number;
  readonly priority: number;
  readonly allow: readonly string[];
  readonly block: readonly string[];
  readonly timeouts: Timeouts;
}

const SESSION_ID = /^[A-Za-z0-9._-]{1,64}$/;

export function withSessionDefaults(options: SessionOptions, timeouts: Timeouts): SessionSettings {
  const { id, priority = 0 } = options;
  if (id !== undefined && !SESSION_ID.test(id))
    throw invalid('INVALID_ARGUMENT', 'id', id, '1 to 64 of A-Z a-z 0-9 . _ -');
  checkNumber('priority', priority, 0, { whole: true });
  if (priority > 9) throw invalid('INVALID_ARGUMENT', 'priority', priority, '0 to 9');
  return {
    model: checkText('model', options.model),
    digest: options.digest ?? '',
    id: id ?? randomUUID(),
    named: id !== undefined,
    owner: randomBytes(16),
    durable: options.durable ?? true,
    maxReplayBytes: checkNumber('maxReplayBytes', options.maxReplayBytes ?? 16_777_216, 0, {
      whole: true,
    }),
    priority,
    allow: checkTexts('allow', options.allow ?? []),
    block: checkTexts('block', options.block ?? []),
    timeouts: withTimeoutDefaults(options.timeouts, timeouts),
  };
}

export interface TurnOptions {
  /** Parameters of the turn, as the model's manifest declares them. Default: the manifest's. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Cancels the turn: iterating rejects with the signal's reason, the session stays usable. */
  readonly signal?: AbortSignal;
  /**
   * W3C trace context that the turn is part of. Default: the active span of `@opentelemetry/api`, where the
   * application has set up OpenTelemetry.
   */
  readonly trace?: TraceContext | undefined;
}

/** How a command is waited for. */
export type CommandOptions = Pick<TurnOptions, 'signal'>;

export const TRACE_NAMES = {
  ...{ traceparent: true, tracestate: true, local: true },
} satisfies NamesOf<TraceContext>;

export interface LiveOptions extends TurnOptions {
  /** Text that comes with the turn. Default: none. */
  readonly prompt?: string;
  /**
   * Parts written but not yet taken by the hoster before `write` waits. Where one frame takes many parts,
   * hosters ask for more from the fourth on: below 4 only for parts of a whole frame. Default 64.
   */
  readonly maxPartsInFlight?: number;
  /** The same in bytes of tensor data. Default 4194304. */
  readonly maxBytesInFlight?: number;
  /** Chunks kept while the application does not read, before the hoster is slowed. Default 256. */
  readonly maxBufferedChunks?: number;
}

export const TURN_NAMES = {
  ...{ parameters: true, signal: true, trace: TRACE_NAMES },
} satisfies NamesOf<TurnOptions>;

/** Of a turn whose input is given in another way. */
export type CarriedOptions = Pick<TurnOptions, 'signal' | 'trace'>;

export const CARRIED_NAMES = {
  ...{ signal: true, trace: TRACE_NAMES },
} satisfies NamesOf<CarriedOptions>;

export const LIVE_NAMES = {
  ...TURN_NAMES,
  prompt: true,
  maxPartsInFlight: true,
  maxBytesInFlight: true,
  maxBufferedChunks: true,
} satisfies NamesOf<LiveOptions>;

export interface LiveSettings {
  readonly maxPartsInFlight: number;
  readonly maxBytesInFlight: number;
  readonly maxBufferedChunks: number;
  /** Parts are copied: their memory may be used again. */
  readonly copies: boolean;
}

export function withLiveDefaults(options: LiveOptions): LiveSettings {
  const check = (key: keyof LiveSettings, value: number): number =>
    checkNumber(key, value, 1, { whole: true });
  return {
    maxPartsInFlight: check('maxPartsInFlight', options.maxPartsInFlight ?? 64),
    maxBytesInFlight: check('maxBytesInFlight', options.maxBytesInFlight ?? 4_194_304),
    maxBufferedChunks: check('maxBufferedChunks', options.maxBufferedChunks ?? 256),
    copies: true,
  };
}
