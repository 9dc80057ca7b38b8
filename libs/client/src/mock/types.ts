import type { CabstandError, NamesOf, Reason } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { ModelInputs } from '../protocol/types';

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
  /** Records between two acks that hosters ask for. Default: 16 for durable sessions. */
  readonly ackEvery?: number;
  /** Records of a durable session between two checkpoints within a turn. Default 4; 0: none. */
  readonly checkpointEvery?: number;
  /**
   * Digest of the weights of a hoster's model; asked anew for each session. Checkpoints are of no use to
   * other weights: SESSION_LOST. Default `sha256:mock` everywhere.
   */
  readonly digest?: (hoster: string) => string;
  /** Sessions that one hoster takes; a further one is HOSTER_FULL. Default Infinity. */
  readonly capacity?: number;
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
  ackEvery: true,
  checkpointEvery: true,
  digest: true,
  capacity: true,
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
   * - `gap`: a record is left out.
   * - `repeat`: the record before comes once more.
   * - `cut`: the stream ends in good order, but without an end of turn.
   * - `error`: the turn ends with `error`.
   */
  readonly kind:
    'refuse' | 'die' | 'disconnect' | 'stall' | 'fence' | 'gap' | 'repeat' | 'cut' | 'error';
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
