import type { CabstandError } from '@cabstand/core';
import type { TraceContext } from '@cabstand/rpc';
import type { DType, Tensor } from '@cabstand/tensor';
import type { Checkpoint, ProtocolEvent, RecordEvent } from './events';

/** The hoster that a call is for. */
export interface Target {
  readonly nodeId: string;
  /** Empty where only the address is known. */
  readonly incarnation: string;
  /** `host:port`. */
  readonly address: string;
}

/** Who may advance a session; of two the one with the higher counter wins. */
export interface Epoch {
  readonly counter: number;
  /** 16 random bytes. */
  readonly owner: Uint8Array;
}

/** An input of any length that is cut into frames. */
export interface FramedInput {
  readonly input: string;
  /** The dimension that is cut. */
  readonly axis: number;
  /** Items of one frame. */
  readonly frame: number;
  /** Items from one frame to the next. */
  readonly hop: number;
  /** What becomes of items that fill no frame: kept for the next turn, padded with zeros, or dropped. */
  readonly remainder: 'keep' | 'pad' | 'drop';
}

/** What a model takes, as a hoster tells it. */
export interface ModelInputs {
  /** Of its weights; empty if not told. */
  readonly digest: string;
  readonly inputs: readonly { readonly name: string; readonly dtype: DType }[];
  /** Inputs that are cut into frames, in step; empty where input cannot come in parts. */
  readonly framing: readonly FramedInput[];
  /** The largest message that the hoster takes; Infinity if it does not tell. */
  readonly maxMessageBytes: number;
}

/** What a turn computes on. */
export interface TurnInput {
  readonly prompt: string;
  readonly tensors: readonly Tensor[];
  /** JSON object, or empty for the model's defaults. */
  readonly parameters: string;
}

/** What it takes to go on with a session on a hoster that does not have it. */
export interface ResumeRequest {
  readonly checkpoint: Checkpoint | undefined;
  readonly replay: readonly (
    | { readonly turn: number; readonly position: number; readonly input: TurnInput }
    | { readonly turn: number; readonly position: number; readonly part: LivePart }
    | { readonly turn: number; readonly position: number; readonly record: GivenRecord }
  )[];
  /** The last position that the consumer has; -1 for none. */
  readonly deliveredPosition: number;
  readonly turn: number;
  /** `chain` of the last record that the consumer has; 0 for none. */
  readonly chain: number;
  /** Counter of the epoch of the stream that brought records last; 0 for none. */
  readonly servedEpoch: number;
}

/** A record that tells what a module was given. */
export type GivenRecord = Extract<RecordEvent, { body: 'command' | 'input' | 'recorded' }>;

/** A part of a live turn's input. */
export interface LivePart {
  readonly turn: number;
  /** Number of the part in its turn, from 0. */
  readonly sequence: number;
  readonly tensors: readonly Tensor[];
  readonly last: boolean;
}

/** What a session is told while its turn runs. */
export interface Command {
  /** Number of the command in its session, from 0; -1 for `stop`. */
  readonly number: number;
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
  /** The turn that it is for. */
  readonly turn?: number | undefined;
}

/** The command that models of every kind know. It has no number: it is once for each turn. */
export const STOP = 'stop';
export const UNNUMBERED = -1;

/** What opens a session, whichever way it is then used. */
export interface OpenFields {
  readonly sessionId: string;
  readonly epoch: Epoch;
  readonly durable: boolean;
  readonly model: string;
  readonly priority: number;
  /** From the router; empty for none. */
  readonly ticket: string;
  /** Goes on with a session that the hoster does not have, or supersedes the one it has. */
  readonly resume?: ResumeRequest;
  /** What the call is part of. */
  readonly trace?: TraceContext | undefined;
}

/** One turn as one call. */
export interface TurnRequest extends OpenFields {
  /** 0 opens the session. */
  readonly turn: number;
  readonly input: TurnInput;
  /** The first record wanted. */
  readonly fromPosition: number;
  /** Keep the session for further turns. */
  readonly keepSession: boolean;
}

/** How a session's own stream begins. */
export type ChannelStart =
  | ({ readonly kind: 'open' } & OpenFields)
  | {
      readonly kind: 'attach';
      readonly sessionId: string;
      readonly epoch: Epoch;
      /** -1 for the oldest record that is kept. */
      readonly fromPosition: number;
      /** See `ResumeRequest`. */
      readonly servedEpoch: number;
      /** What the call is part of. */
      readonly trace?: TraceContext | undefined;
    }
  /** Only watches. */
  | {
      readonly kind: 'view';
      readonly sessionId: string;
      readonly ticket?: string | undefined;
    };

/** What goes up a session's own stream. */
export type ChannelMessage =
  | {
      readonly kind: 'turn';
      readonly turn: number;
      readonly input: TurnInput;
      readonly live: boolean;
      /** What the turn is part of. Default: what the call is. */
      readonly trace?: TraceContext | undefined;
    }
  | ({ readonly kind: 'part' } & LivePart)
  | SessionUpdate
  | { readonly kind: 'close'; readonly reason: string };

/** What goes up a session's own stream, or beside the stream of a turn. */
export type SessionUpdate =
  | { readonly kind: 'ack'; readonly position: number }
  | { readonly kind: 'cancel'; readonly turn: number }
  | ({ readonly kind: 'command' } & Command)
  /** The consumer has a place elsewhere: stop at a step boundary, flush, give the checkpoint. */
  | { readonly kind: 'handover' };

/** How a session stands at its hoster. */
export interface SessionStatus {
  readonly state: 'waiting' | 'streaming' | 'orphaned' | 'closing' | 'ended' | 'unknown';
  /** The next position to be produced. */
  readonly position: number;
  readonly turn: number;
  /** Whether it has not come to its end. */
  readonly turnRuns: boolean;
  readonly acknowledgedPosition: number;
  readonly epoch: number;
  readonly model: string;
}

/**
 * Events as they come, pulled: what is not polled is not read from the network, so a consumer that
 * does not read slows the hoster down and nobody's memory fills.
 */
export interface EventSource {
  /** The next event if it is here. Throws NODE_BAD_REPLY for one that cannot be read. */
  poll(): ProtocolEvent | undefined;
  /**
   * True when `poll` has something, false at the orderly end. Rejects with what the stream failed or
   * was cancelled with, after all events before that were polled. While a wait is pending, another
   * call gives the same promise.
   */
  wait(): Promise<boolean>;
  /** Ends the stream from this side; `wait` rejects with the error. Does nothing after the end. */
  cancel(error: CabstandError): void;
}

/** A whole session on one stream. */
export interface SessionChannel extends EventSource {
  /** Queues a message; false if `drained` should be awaited before the next. */
  send(message: ChannelMessage): boolean;
  drained(): Promise<void>;
  /** No message follows: the hoster ends the stream once it has said its last, and keeps a durable session. */
  finish(): void;
}

/** A stream to a hoster with nothing said yet. */
export interface PreparedChannel {
  /** Connected, and the hoster has taken the call. Rejects with why not; need not be awaited. */
  readonly ready: Promise<void>;
  begin(start: ChannelStart): SessionChannel;
  /** Lets it go, and the channel that `begin` gave with it. */
  cancel(error: CabstandError): void;
}

export interface UnaryOptions {
  readonly signal: AbortSignal | undefined;
  /** Deadline of the whole call in milliseconds. */
  readonly deadlineMs: number;
  /** For watching a session of another principal's. */
  readonly ticket?: string | undefined;
}

/** How sessions reach hosters. All errors are CabstandErrors. */
export interface SessionProtocol {
  /** Starts one turn. Connecting is part of the stream: it fails as NODE_UNREACHABLE. */
  runTurn(target: Target, request: TurnRequest): EventSource;
  openChannel(target: Target, start: ChannelStart): SessionChannel;
  /** For a channel that is to be opened without delay when the time has come. */
  prepareChannel(target: Target, trace?: TraceContext): PreparedChannel;
  update(
    target: Target,
    session: { readonly sessionId: string; readonly epoch: Epoch },
    update: SessionUpdate,
    options: UnaryOptions,
  ): Promise<void>;
  status(target: Target, sessionId: string, options: UnaryOptions): Promise<SessionStatus>;
  /** A ticket for watching the session: see `Session.share`. */
  share(
    target: Target,
    session: { readonly sessionId: string; readonly ttlMs: number; readonly principal: string },
    options: UnaryOptions,
  ): Promise<string>;
  closeSession(
    target: Target,
    session: { readonly sessionId: string; readonly epoch: Epoch },
    options: UnaryOptions,
  ): Promise<void>;
  /**
   * What a model takes: asked only for input that has to be made or cut accordingly. Undefined where the
   * hoster does not have the model.
   *
   * @param model with an empty digest for any weights
   */
  modelInputs?(
    target: Target,
    model: { readonly model: string; readonly digest: string },
    options: UnaryOptions,
  ): Promise<ModelInputs | undefined>;
  /** Lets all connections go. */
  close(): Promise<void>;
}
