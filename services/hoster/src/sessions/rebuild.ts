import type { EngineSnapshot } from '../engines/contract';
import type { Deaths, StateAt } from './state-at';
import { FRESH } from './state-at';
import type { PlannedTurn } from './resume';
import type { RunningTurn } from './turns';
import type { TurnContent } from './types';

/** The state that a snapshot of a turn makes, where the next record is at `position`. */
export function stateOf(
  { turn, digest = '', firstPosition, live }: RunningTurn,
  { ended, partsTaken, data }: EngineSnapshot,
  position: number,
  deaths: Deaths | undefined,
): StateAt {
  return {
    ...{ position, turn, ended, digest, firstPosition, deaths },
    parts: ended ? 0 : partsTaken,
    reported: ended ? 0 : (live?.reported ?? 0),
    data: own(data),
  };
}

/** The frame that brought a snapshot may hold a whole batch: only where there is little else it is kept. */
function own(data: Buffer): Buffer {
  return 2 * data.byteLength > data.buffer.byteLength ? data : Buffer.from(data);
}

/** What is kept of a durable session so that another engine can go on with it. */
export class Rebuild {
  /** Undefined where the engine gave no snapshot of a turn's end: nothing to begin from. */
  #state: StateAt | undefined;
  /** Of the turn that runs. */
  #content: TurnContent | undefined;
  /** Turns to compute again, before anything new. */
  readonly #planned: PlannedTurn[];

  constructor(state: StateAt = FRESH, planned: readonly PlannedTurn[] = []) {
    this.#state = state;
    this.#planned = [...planned];
  }

  get state(): StateAt | undefined {
    return this.#state;
  }

  get content(): TurnContent | undefined {
    return this.#content;
  }

  /** Bytes of the snapshot and of the turn's input. */
  get bytes(): number {
    const input = this.#content?.tensors.reduce((sum, { data }) => sum + data.byteLength, 0) ?? 0;
    return input + (this.#content?.prompt.length ?? 0) + (this.#state?.data.byteLength ?? 0);
  }

  /** The first turn to compute again. */
  get planned(): PlannedTurn | undefined {
    return this.#planned[0];
  }

  /** A turn that is planned, by its number. */
  plannedTurn(turn: number): PlannedTurn | undefined {
    return this.#planned.find((one) => one.turn === turn);
  }

  turnStarted(content: TurnContent): void {
    this.#planned.shift();
    this.#content = content;
  }

  /** `state` undefined: the engine gave none. */
  turnEnded(state: StateAt | undefined): void {
    this.#state = state;
    this.#content = undefined;
  }

  snapshot(state: StateAt): void {
    this.#state = state;
  }

  /** So that the next hoster knows, should this one not live to tell. */
  noteDeaths(deaths: Deaths): void {
    if (this.#state !== undefined) this.#state = { ...this.#state, deaths };
  }
}
