import { CabstandError } from '@cabstand/core';
import type { MockFailure } from './types';

/** After a failure: the turn goes on, is over without an end, or ends now. */
export type Strike = 'on' | 'over' | 'end';

/** What can happen to a session at its hoster. */
export interface Struck {
  /** Resolves when its consumer has so many records of the turn, or there is none. */
  delivered(turn: number, records: number): Promise<void>;
  /** Sends the newest record once more. */
  repeat(): void;
  /** The next record is sent as the one behind it, or with a body that nobody knows. */
  spoil(how: 'ahead' | 'unknown'): void;
  /** The hoster wants to go. */
  drain(): void;
  /** Nothing more is said, not even that there is life. */
  stall(): void;
  /** Its stream ends, in good order where there is no error. */
  breakOff(error: CabstandError | undefined): void;
  /** Another consumer takes it over. */
  fence(): void;
  /** It is gone from its hoster with this error. */
  abort(error: CabstandError): void;
  /** The hoster goes down, and starts again. */
  die(): void;
}

/** A turn on its way to the failure that it is to have, if any. */
export class Trial {
  readonly failure: MockFailure | undefined;
  readonly #session: Struck;
  readonly #turn: number;
  /** Records of the turn that its consumer had before this hoster began. */
  readonly #before: number;
  #due: boolean;

  constructor(failure: MockFailure | undefined, session: Struck, turn: number, before: number) {
    this.failure = failure;
    this.#session = session;
    this.#turn = turn;
    this.#before = before;
    this.#due = failure !== undefined;
  }

  /** The turn has ended with the failure: only what its caller did wrong leaves the session where it was. */
  ended(error: CabstandError): void {
    if (this.failure?.kind === 'error' && error.class !== 'caller') this.#session.abort(error);
  }

  /** Lets the failure happen if its time has come. `made`: records of the turn so far. */
  async due(made: number): Promise<Strike> {
    const { failure } = this;
    const fresh = made - this.#before;
    if (!this.#due || failure === undefined || fresh < (failure.after ?? 0)) return 'on';
    this.#due = false;
    const session = this.#session;
    await session.delivered(this.#turn, made);
    switch (failure.kind) {
      case 'repeat':
        session.repeat();
        return 'on';
      case 'gap':
        session.spoil('ahead');
        return 'on';
      case 'unknown':
        session.spoil('unknown');
        return 'on';
      case 'drain':
        session.drain();
        return 'on';
      case 'stall':
        session.stall();
        return 'over';
      case 'cut':
        session.breakOff(undefined);
        return 'on';
      case 'disconnect':
        session.breakOff(failureError(failure, 'NODE_UNREACHABLE'));
        return 'on';
      case 'fence':
        session.fence();
        return 'on';
      case 'die':
        session.die();
        return 'over';
      default:
        return 'end';
    }
  }
}

export function failureError(
  failure: MockFailure | undefined,
  fallback: 'HOSTER_FULL' | 'INTERNAL' | 'NODE_UNREACHABLE',
): CabstandError {
  const error = failure?.error ?? fallback;
  return CabstandError.is(error) ? error : new CabstandError(error, `mocked: ${error}`);
}
