import type { CabstandError } from '@cabstand/core';
import type { InputFrame, TurnEnd, TurnFrame } from '../frames/types';
import type { StepWriter } from './output';

/** A turn that runs. */
export interface ActiveTurn {
  readonly number: number;
  /** Model steps so far. */
  steps: number;
  /** To be ended before its next step. */
  cancelled: boolean;
  /** Ends the turn before its next step, too. */
  failure?: CabstandError;
}

/** One session's state in the engine. */
export interface Sequence {
  readonly id: number;
  readonly priority: number;
  turn: ActiveTurn | undefined;
  /** Credit left. Bytes may go below zero by one record. */
  records: number;
  bytes: number;
  /** In the step that runs. */
  running: boolean;
  /** Closed by main; freed once no step holds it. */
  closed: boolean;
  /** Number of the last step it was in, and steps it was passed over since. */
  lastStep: number;
  waited: number;
}

/** Sequences with the same group may run together. */
export type Group = object;

/** What one kind of model does in a step. */
export interface Stepper<S extends Sequence = Sequence> {
  /** Rows a run may have. */
  readonly maxBatch: number;
  open(id: number, priority: number): S;
  /** Starts a turn. Throws a CabstandError where its input is wrong; the sequence stays usable. */
  begin(sequence: S, turn: TurnFrame): void;
  /** A part of live input. */
  input(sequence: S, frame: InputFrame): void;
  /** Whether there is something to compute. */
  ready(sequence: S): boolean;
  /** Whether the turn is over without another step. */
  done(sequence: S): boolean;
  group(sequence: S): Group;
  /** Rows that a sequence takes of a run. */
  weight(sequence: S): number;
  /**
   * Runs one step of sequences of one group and writes what came out. Never throws for one sequence's
   * sake: errors end its turn only.
   */
  step(batch: readonly S[], out: StepWriter): Promise<void>;
  /** Forgets the turn: `keep` where input that is left over may stay for the next one. */
  endTurn(sequence: S, keep: boolean): void;
  /** Frees the sequence. */
  release(sequence: S): void;
}

/** Writes the end of a turn and forgets it. */
export function endTurn<S extends Sequence>(
  stepper: Stepper<S>,
  sequence: S,
  out: StepWriter,
  how: 'completed' | 'stopped' | 'cancelled' | CabstandError,
): void {
  const { turn } = sequence;
  if (turn === undefined) return;
  stepper.endTurn(sequence, how === 'completed' || how === 'stopped');
  sequence.turn = undefined;
  if (!sequence.closed) out.end(sequence.id, turn.number, turnEnd(how, turn.steps));
}

export function turnEnd(
  how: 'completed' | 'stopped' | 'cancelled' | CabstandError,
  steps: number,
): TurnEnd {
  if (typeof how === 'string') return { reason: how, steps };
  const { reason, message, metadata } = how;
  return { reason: 'error', steps, error: { reason, message, metadata: { ...metadata } } };
}
