import type { NodeState } from '../health/state';

/** What a heartbeat is answered with, and what is sent down unasked. */
export interface BeatAnswer {
  /** The router does not know this incarnation: register again. */
  readonly reregister: boolean;
  readonly drain: boolean;
  /** Time left to drain, in milliseconds. */
  readonly drainMs: number | undefined;
  /** The wish to drain was taken back. */
  readonly undrain: boolean;
  /** New period in milliseconds; undefined for no change. */
  readonly periodMs: number | undefined;
  readonly state: NodeState | undefined;
}

/** The downward half of a heartbeat stream. Must not throw. */
export interface BeatStream {
  send(answer: BeatAnswer): void;
}
