import type { EngineSnapshot } from '../engine/engine';
import type { Deaths, CheckpointBody } from './checkpoint-body';
import { FRESH, inOwnMemory } from './checkpoint-body';
import { EngineDeaths } from './deaths';
import type { PlannedTurn } from './plan';
import type { RunningTurn } from '../turns';
import type { TurnContent } from '../types';

/** The state that a snapshot of a turn makes, where the next record is at `position`. */
function stateOf(
  { turn, digest = '', firstPosition, live }: RunningTurn,
  { ended, partsTaken, data }: EngineSnapshot,
  position: number,
  deaths: Deaths | undefined,
  commands = 0,
): CheckpointBody {
  return {
    position,
    turn,
    ended,
    digest,
    firstPosition,
    deaths,
    commands,
    parts: ended ? 0 : partsTaken,
    reported: ended ? 0 : (live?.reported ?? 0),
    // The frame that brought it may hold a whole batch.
    data: inOwnMemory(data),
  };
}

/** What is kept of a durable session so that another engine can go on with it. */
export class Rebuild {
  readonly deaths: EngineDeaths;
  readonly #durable: boolean;
  /** Came directly before the end of the turn. */
  #ending: EngineSnapshot | undefined;
  /** Undefined where the engine gave no snapshot of a turn's end: nothing to begin from. */
  #state: CheckpointBody | undefined;
  /** Of the turn that runs. */
  #content: TurnContent | undefined;
  /** Turns to compute again, before anything new. */
  readonly #planned: PlannedTurn[];

  constructor(
    durable: boolean,
    state: CheckpointBody = FRESH,
    planned: readonly PlannedTurn[] = [],
  ) {
    this.#durable = durable;
    this.#state = state;
    this.deaths = new EngineDeaths(state.deaths);
    this.#planned = [...planned];
  }

  get state(): CheckpointBody | undefined {
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
    this.#ending = undefined;
    if (this.#durable) this.#content = content;
  }

  /** The engine's snapshot directly before the end of the turn; undefined takes it back. */
  ending(snapshot: EngineSnapshot | undefined): void {
    this.#ending = snapshot;
  }

  /**
   * The next record is at `position`, and commands below `commands` took effect. Answers the state there;
   * undefined where the engine gave none.
   */
  turnEnded(turn: RunningTurn, position: number, commands?: number): CheckpointBody | undefined {
    this.#state = this.#ending && this.stateAt(turn, this.#ending, position, commands);
    this.#ending = undefined;
    this.#content = undefined;
    return this.#state;
  }

  /** The state that a snapshot makes; see `turnEnded`. */
  stateAt(
    turn: RunningTurn,
    snapshot: EngineSnapshot,
    position: number,
    commands?: number,
  ): CheckpointBody {
    return stateOf(turn, snapshot, position, this.deaths.last, commands);
  }

  /** A state within the turn. */
  snapshot(state: CheckpointBody): void {
    this.#state = state;
  }

  /** It was computing `position`. Kept in the state, should this hoster not live to tell. */
  engineDied(position: number): void {
    const deaths = this.deaths.count(position);
    if (this.#state !== undefined) this.#state = { ...this.#state, deaths };
  }
}
