import type { Seal } from '../resume/checkpoint-sealer';
import type { Delivery } from '../records/delivery';
import type { InputCheck } from '../input/input-check';
import type { LiveInput } from '../input/live-input';
import type { CheckpointBody } from '../resume/checkpoint-body';
import type { RebuildPlan } from '../resume/plan';
import type { SessionFacts } from '../session-facts';
import type { SessionDeps } from '../session-init';
import type { SessionEnd } from '../types';

/** What the session's other half is told. */
export interface ComputationEvents {
  /** Something was produced or used up: there may be room, or something to send. */
  advanced(): void;
  /** There is a newer state within the turn; `inRecord`: where a record carries it. */
  checkpointed(inRecord?: CheckpointBody): void;
  /**
   * Live parts were used up, or a frame needs more of them.
   *
   * @param recorded new records say which parts were used up
   */
  accepted(turn: number, live: Pick<LiveInput, 'taken' | 'wanted'>, recorded: boolean): void;
  turnStarted(): void;
  turnEnded(): void;
  /** A turn was computed again whose end was recorded before. */
  endedBefore(turn: number): void;
  /** A module told whoever reads right now. */
  told(turn: number, name: string, json: string): void;
  /** The one turn of a module's session has ended, and its end was recorded. */
  moduleEnded(end: SessionEnd): void;
  /** No more can be computed. */
  over(end: SessionEnd): void;
}

export interface ComputationInit {
  readonly session: SessionFacts;
  readonly deps: SessionDeps;
  readonly priority: number;
  readonly inputs: InputCheck;
  readonly delivery: Delivery;
  readonly seal: Seal;
  readonly plan: RebuildPlan | undefined;
  readonly events: ComputationEvents;
}
