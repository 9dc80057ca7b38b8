import type { CabstandError, Clock } from '@cabstand/core';
import type { ServedModel } from '../engines/contract';
import type { Delivery } from './delivery';
import type { InputCheck } from './input-check';
import type { SessionOptionsWithDefaults } from './options';
import type { RebuildPlan } from './resume';
import type { StateAt } from './state-at';
import type { Checkpoint, SessionEnd } from './types';

/** What the session's other half is told. */
export interface ComputationEvents {
  /** A chunk that was not there before. */
  chunk(): void;
  recorded(): void;
  /** Something was produced or used up: there may be room, or something to send. */
  advanced(): void;
  /** There is a newer state within the turn. */
  checkpointed(): void;
  accepted(turn: number, nextInput: number): void;
  turnStarted(): void;
  turnEnded(reason: string, steps: number): void;
  /** The engine is gone: `retake` when there is another. */
  waiting(): void;
  /** Computing got past where engines had died. */
  survived(): void;
  rebuilt(cause: CabstandError, seconds: number): void;
  /** No more can be computed. */
  over(end: SessionEnd): void;
}

export interface ComputationInit {
  readonly model: ServedModel;
  readonly inputs: InputCheck;
  readonly priority: number;
  readonly named: boolean;
  readonly durable: boolean;
  readonly delivery: Delivery;
  readonly options: SessionOptionsWithDefaults;
  readonly clock: Clock;
  /** Counter of the epoch that records carry. */
  readonly epoch: () => number;
  readonly seal: (state: StateAt) => Checkpoint;
  readonly events: ComputationEvents;
  readonly plan: RebuildPlan | undefined;
}
