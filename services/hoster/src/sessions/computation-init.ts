import type { Seal } from './checkpoint-sealer';
import type { Delivery } from './delivery';
import type { InputCheck } from './input-check';
import type { LiveInput } from './live-input';
import type { RebuildPlan } from './resume';
import type { SessionFacts } from './session-facts';
import type { SessionDeps } from './session-init';
import type { SessionEnd } from './types';

/** What the session's other half is told. */
export interface ComputationEvents {
  /** Something was produced or used up: there may be room, or something to send. */
  advanced(): void;
  /** There is a newer state within the turn. */
  checkpointed(): void;
  /** Live parts were used up, or a frame needs more of them. */
  accepted(turn: number, live: Pick<LiveInput, 'taken' | 'wanted'>): void;
  turnStarted(): void;
  turnEnded(): void;
  /** A turn was computed again whose end was recorded before. */
  endedBefore(turn: number): void;
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
