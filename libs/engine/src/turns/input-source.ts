/** What drives the steps of a sequence: frames of long inputs, sets of tensors, or a prompt. */
import type { InputFrame, TurnFrame } from '../frames/types';
import type { LoadedFraming, SavedFraming } from '../snapshot/framing';
import type { InputUse, Progress } from '../snapshot/progress';
import type { FrameCutter } from './frame-cutter';
import type { RecurrentTurn } from './turn';

/** How much of a turn's input is used up; `others` of the framed inputs after the first. */
export type SourceUse = Pick<Progress, 'partsTaken' | 'others'> & InputUse;

/** One for each sequence. It lives as long: frames go on from turn to turn. */
export interface InputSource {
  /** By framed input; empty for sources without frames. */
  readonly cutters: readonly FrameCutter[];
  /**
   * Takes what came with a turn that was started, and gives the turn its first input set. `resume`
   * tells what a restored turn has used of its input already.
   *
   * @throws CabstandError CHECKPOINT_INVALID where less came than it used.
   */
  begin(turn: RecurrentTurn, frame: TurnFrame, resume: Progress | undefined): void;
  /** A part of live input. Throws LIMIT_EXCEEDED where too much waits. */
  add(turn: RecurrentTurn, frame: InputFrame): void;
  /** Whether the next per-step stage of the turn has its input. */
  ready(turn: RecurrentTurn): boolean;
  /** The per-step stage is over: moves on to the input of the next one. */
  advance(turn: RecurrentTurn): void;
  /** Live parts below this number are used up. */
  taken(): number;
  /** For a snapshot within the turn. */
  used(): SourceUse;
  /** Forgets the turn; `keep` where input that is left over may stay for the next one. */
  endTurn(keep: boolean): void;
  /** What a snapshot holds besides the input of the running turn, by framed input. */
  save(): SavedFraming[];
  restore(saved: readonly LoadedFraming[], progress: Progress | undefined): void;
}
