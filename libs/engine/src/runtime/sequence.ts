import type { CabstandError } from '@cabstand/core';
import type { Generation } from '../frames/language-frames';
import type { InputFrame, TurnEnd, TurnFrame } from '../frames/types';
import type { Position } from '../snapshot/header';
import type { RunTap } from '../graphs/joint-run';
import type { StepWriter } from '../output/step-writer';

/** A turn that runs. */
export interface ActiveTurn {
  readonly number: number;
  /** Model steps and records so far, and live parts that were reported as taken. */
  steps: number;
  records: number;
  taken: number;
  /** To be ended before its next step. */
  cancelled: boolean;
  /** Ends the turn before its next step, too. */
  failure?: CabstandError;
  /** Told with its end: what became of an answer of a language model. */
  readonly generation?: Generation;
}

/** One session's state in the engine. */
export interface Sequence {
  readonly id: number;
  readonly priority: number;
  /** Owners share the steps evenly, however many sequences each of them has. */
  owner: string;
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
  /** Ends of turns come with a snapshot. */
  snapshots: boolean;
  /** Main wants one at the next step boundary. */
  snapshotAsked: boolean;
  /** It was to begin from a snapshot that is none: there is no state to run a turn on. */
  broken: CabstandError | undefined;
  /** It was restored within a turn, which is to be continued. */
  resume: Position | undefined;
}

/** A sequence before its first turn. */
export function newSequence(id: number, priority: number): Sequence {
  return {
    id,
    priority,
    owner: '',
    turn: undefined,
    records: 0,
    bytes: 0,
    running: false,
    closed: false,
    lastStep: -1,
    waited: 0,
    snapshots: false,
    snapshotAsked: false,
    broken: undefined,
    resume: undefined,
  };
}

/** Sequences with the same group may run together. */
export type Group = object;

/** What one kind of model does in a step. */
export interface Stepper<S extends Sequence = Sequence> {
  /** Rows that sequences may bring to one run together; 1 once they were found to harm one another. */
  maxBatch: number;
  /** Largest message between hosters and clients: no record is much larger. */
  readonly messageBytes: number;
  /** Joint runs that failed, so that their sequences ran one by one. */
  readonly splits: number;
  /** Sees joint runs. */
  tap: RunTap | undefined;
  /**
   * Set by the loop, for steppers that prepare a turn after `begin`: to be told when a sequence has become
   * ready, or its turn has failed, outside of steps and frames.
   */
  changed?: ((sequence: S) => void) | undefined;
  /** Chooses what runs next, of all sequences with a turn. Default: batches of one group, owners in turn. */
  readonly scheduler?: { next(sequences: Iterable<S>): S[] };
  open(id: number, priority: number): S;
  /**
   * Makes a sequence that was just opened the one that a snapshot was taken of. If that was within a
   * turn, only this turn may follow, as `continued`.
   *
   * @throws CabstandError CHECKPOINT_INVALID; the sequence is as it was then.
   */
  restore(sequence: S, snapshot: Uint8Array): void;
  /** The state of a sequence that no step holds, and how far its turn is, if there is one. */
  snapshot(sequence: S): Buffer;
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
  // Its run may have been stopped for that.
  if (turn.cancelled && typeof how !== 'string') how = 'cancelled';
  stepper.endTurn(sequence, how === 'completed' || how === 'stopped');
  sequence.turn = undefined;
  if (sequence.closed) return;
  if (sequence.snapshots || sequence.snapshotAsked)
    writeSnapshot(stepper, sequence, out, turn, true);
  out.end(sequence.id, turn.number, turnEnd(how, turn.steps, turn.generation));
}

/** Writes a snapshot of a sequence that no step holds. @param turn that runs, or has just ended */
export function writeSnapshot<S extends Sequence>(
  stepper: Stepper<S>,
  sequence: S,
  out: StepWriter,
  turn: Pick<ActiveTurn, 'number' | 'records' | 'steps' | 'taken'>,
  ended: boolean,
): void {
  sequence.snapshotAsked = false;
  const { number, records, steps, taken } = turn;
  const data = stepper.snapshot(sequence);
  const item = { sequence: sequence.id, turn: number, data, records, steps, ended };
  out.snapshot({ ...item, partsTaken: taken });
}

export function turnEnd(
  how: 'completed' | 'stopped' | 'cancelled' | CabstandError,
  steps: number,
  generation?: Generation,
): TurnEnd {
  if (typeof how === 'string')
    return { reason: how, steps, ...(generation === undefined ? {} : { generation }) };
  const { reason, message, metadata } = how;
  return { reason: 'error', steps, error: { reason, message, metadata: { ...metadata } } };
}
