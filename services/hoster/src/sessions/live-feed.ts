import type { Tensor } from '@cabstand/tensor';
import type { EngineSeat } from './engine-seat';
import type { InputCheck } from './input-check';
import type { LiveInput, LivePart } from './live-input';
import type { Turns } from './turns';
import type { SessionNotice } from './types';

/** Tells the consumer that the parts came, and that a frame needs more of them. */
export type WantMore = (turn: number, live: LiveInput) => void;

/** Brings live input to the engine as fast as it takes it, whichever engine that is. */
export class LiveFeed {
  readonly #turns: Turns;
  readonly #seat: EngineSeat;
  readonly #inputs: InputCheck;
  readonly #wantMore: WantMore;

  constructor(turns: Turns, seat: EngineSeat, inputs: InputCheck, wantMore: WantMore) {
    this.#turns = turns;
    this.#seat = seat;
    this.#inputs = inputs;
    this.#wantMore = wantMore;
  }

  /** Takes a part from the consumer; see `Session.input`. */
  take(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void {
    const live = this.#turns.liveInput(turn);
    if (live?.expects(part) !== true) return;
    this.#inputs.part(tensors);
    live.checkRoom();
    const sequence = live.sendsNext ? this.#seat.sequence : undefined;
    // What it throws is for whoever sent the part, and may send it again: nothing was taken.
    sequence?.input(turn, part, tensors, last);
    live.accept({ part, tensors, last });
    if (sequence !== undefined) live.markSent();
    if (live.wanted !== undefined) this.#wantMore(turn, live);
  }

  /** No more parts come: the turn that runs ends when those that came are used up. */
  end(): void {
    const live = this.#turns.running?.live;
    if (live === undefined || live.complete) return;
    this.takeAgain(live, [{ part: live.next, tensors: [], last: true }]);
  }

  /** Takes parts that are to be computed again. */
  takeAgain(live: LiveInput | undefined, parts: readonly LivePart[]): void {
    for (const part of parts) if (live?.expects(part.part) === true) live.accept(part);
    this.pump();
  }

  /** Sends the engine the parts that it can take now. */
  pump(): void {
    const { running } = this.#turns;
    const { sequence } = this.#seat;
    if (running?.live === undefined || sequence === undefined) return;
    const { live, turn } = running;
    for (let next = live.unsent; next !== undefined; next = live.unsent) {
      try {
        sequence.input(turn, next.part, next.tensors, next.last);
      } catch {
        // Too much waits for the engine.
        this.#seat.retrySoon();
        return;
      }
      live.markSent();
    }
  }
}

/** How much of a turn's live input is used up, and whether a frame needs more than came. */
export function acceptedNotice(
  turn: number,
  { taken, wanted }: Pick<LiveInput, 'taken' | 'wanted'>,
): SessionNotice {
  return { kind: 'accepted', turn, nextInput: taken, wanted };
}
