import type { ModelInputs, Survival } from '@cabstand/client/protocol';
import type { CabstandError, Clock, NamesOf, Reason } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';

/** What a mocked model step gives. */
export interface MockRecord {
  readonly text?: string;
  readonly tensors?: readonly Tensor[];
}

/** A turn as the mocked model sees it. */
export interface MockTurn {
  /** `host:port` of the mocked hoster. */
  readonly hoster: string;
  readonly sessionId: string;
  readonly model: string;
  /** Number of the turn, from 0. */
  readonly turn: number;
  readonly prompt: string;
  readonly tensors: readonly Tensor[];
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly live: boolean;
  /** The parts of live input as they come; of another turn, its tensors as the only part. */
  readonly parts: AsyncIterable<readonly Tensor[]>;
}

/** What a mocked module is given. */
export type MockGiven =
  | { readonly kind: 'part'; readonly tensors: readonly Tensor[] }
  | {
      readonly kind: 'command';
      readonly number: number;
      readonly name: string;
      readonly arguments: unknown;
      /** Its result, or a CabstandError that it is refused with. */
      readonly answer: (value: unknown) => Promise<void>;
    };

/** A session as the author of a mocked module sees it. */
export interface MockModule {
  /** What JSON can say: as it was at the newest checkpoint where the session goes on elsewhere. */
  readonly state: Record<string, unknown>;
  /** The next part of input or command; undefined once no more input comes, or the turn is cancelled. */
  next(): Promise<MockGiven | undefined>;
  emit(record: MockRecord): Promise<void>;
  send(name: string, value: unknown): Promise<void>;
  /** What `find` gives; the same again where the session goes on elsewhere. */
  record(name: string, find: () => unknown): Promise<unknown>;
  /** May be lost. */
  notify(name: string, value: unknown): void;
  checkpoint(): Promise<void>;
  /**
   * Ends the turn, and gives the number of the next one; undefined where the session is closed. A session that goes
   * on elsewhere runs from its beginning, with that turn and with `state` as it was.
   */
  nextTurn(): Promise<number | undefined>;
}

export interface MockModuleOptions {
  readonly survival: Survival;
  /** Names of the commands that it takes; others are COMMAND_UNKNOWN. Default: none. */
  readonly commands?: readonly string[];
  /** The session, whose last turn ends when this returns. */
  readonly run: (module: MockModule) => Promise<void>;
}

export interface MockProtocolOptions {
  /** Addresses of the mocked hosters. Default `mock-1:1` and `mock-2:1`. */
  readonly hosters?: readonly string[];
  /**
   * The model: what a turn gives, one record a step. Throwing a CabstandError ends the turn with it.
   * Asked again for a turn that another hoster has to go on with, so it must give the same again.
   * Default: the prompt back, one word a record, or each part of the input back.
   */
  readonly answer?: (turn: MockTurn) => Iterable<MockRecord> | AsyncIterable<MockRecord>;
  /**
   * What hosters tell of what the model takes, for lists of numbers and for long input. Default: nothing, so
   * that lists of numbers are refused and all input is sent at once.
   */
  readonly inputs?: Partial<ModelInputs>;
  /**
   * Names of models that hosters tell of, who take any other name, too. Default: none, and nothing of a model that is
   * asked for by name either unless `inputs` is given.
   */
  readonly models?: readonly string[];
  /** Records between two acks that hosters ask for. Default: 16 for durable sessions. */
  readonly ackEvery?: number;
  /** Records of a durable session between two checkpoints within a turn. Default 4; 0: none. */
  readonly checkpointEvery?: number;
  /**
   * Digest of the weights of a hoster's model; asked anew for each session. Checkpoints are of no use to
   * other weights: SESSION_LOST. Default `sha256:mock` everywhere.
   */
  readonly digest?: (hoster: string) => string;
  /** The model is a module: it takes the place of `answer`, and is asked for a checkpoint each time. */
  readonly module?: MockModuleOptions;
  /** Sessions that one hoster takes; a further one is HOSTER_FULL. Default Infinity. */
  readonly capacity?: number;
  /** The time of the hosters. Default: the system's. */
  readonly clock?: Clock;
}

export const MOCK_NAMES = {
  hosters: true,
  answer: true,
  inputs: {
    digest: true,
    inputs: true,
    framing: true,
    maxMessageBytes: true,
  } satisfies NamesOf<ModelInputs>,
  models: true,
  ackEvery: true,
  checkpointEvery: true,
  digest: true,
  capacity: true,
  clock: true,
  module: { survival: true, commands: true, run: true } satisfies NamesOf<MockModuleOptions>,
} satisfies NamesOf<MockProtocolOptions>;

/** A failure to come. */
export interface MockFailure {
  /** At this hoster only. Default: any. */
  readonly hoster?: string;
  /** How often. Default 1. */
  readonly times?: number;
  /**
   * After this many chunks of a turn, as many as its consumer gets from this hoster. Default 0: instead
   * of the first.
   */
  readonly after?: number;
  /**
   * - `refuse`: the turn is refused with `error`, before anything (`after` does not count).
   * - `die`: the hoster goes down and starts again: streams break with NODE_UNREACHABLE, its sessions
   *   are lost.
   * - `disconnect`: the stream breaks with `error`; the hoster lives, and keeps the session if
   *   it is durable.
   * - `stall`: nothing more comes from this hoster.
   * - `fence`: another consumer takes the session over: EPOCH_FENCED.
   * - `gap`: a record comes in the position behind its own, as if one were left out.
   * - `repeat`: the record before comes once more.
   * - `cut`: the stream ends in good order, but without an end of turn.
   * - `unknown`: a record comes with a body that only later clients know.
   * - `drain`: the hoster announces that it wants to go.
   * - `error`: the turn ends with `error`.
   */
  readonly kind:
    | 'refuse'
    | 'die'
    | 'disconnect'
    | 'stall'
    | 'fence'
    | 'gap'
    | 'repeat'
    | 'cut'
    | 'unknown'
    | 'drain'
    | 'error';
  /** Default HOSTER_FULL for `refuse`, NODE_UNREACHABLE for `disconnect`, INTERNAL for `error`. */
  readonly error?: Reason | CabstandError;
}

export const FAILURE_NAMES = {
  hoster: true,
  times: true,
  after: true,
  kind: true,
  error: true,
} satisfies NamesOf<MockFailure>;
