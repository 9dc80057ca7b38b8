/** What an engine process serves its model with, whatever the kind. */
import type { CommandFrame, ReadersFrame, StopFrame } from '../frames/module-frames';
import type {
  CancelFrame,
  CloseFrame,
  CreditsFrame,
  FromEngine,
  InputFrame,
  LoadedFrame,
  OpenFrame,
  SnapshotFrame,
  StatsFrame,
  TurnFrame,
} from '../frames/types';

/** Where frames that were made already go. */
export interface FrameSink {
  /**
   * Writes a frame; false where the reader is behind: `drained` resolves when it has caught up.
   *
   * @param written called once the frame's memory may be used again
   */
  write(frame: Buffer, written?: () => void): boolean;
  drained(): Promise<void>;
}

/** The way to main. */
export interface RuntimeHost extends FrameSink {
  send(frame: FromEngine): void;
}

export type WorkFrame =
  | OpenFrame
  | TurnFrame
  | InputFrame
  | CreditsFrame
  | CancelFrame
  | CloseFrame
  | SnapshotFrame
  | CommandFrame
  | StopFrame
  | ReadersFrame;

/** What STATS says of the model; the rest is the process's. */
export type RuntimeStats = Omit<StatsFrame, 'type' | 'rssBytes' | 'cpuSeconds'>;

export interface Runtime {
  /** What main is told once it serves. */
  readonly loaded: LoadedFrame;
  readonly stats: RuntimeStats;
  /** Takes a frame from main. Never throws for a caller's mistake: that ends the turn. */
  handle(frame: WorkFrame): void;
  /** Serves until aborted. Rejects with what ends the engine. */
  run(signal: AbortSignal): Promise<void>;
  /**
   * Ends what runs, in order, before the process exits. False: something of it does not end, and the process
   * has to be killed.
   */
  unload(): Promise<boolean>;
}
