/** A run that rows of several callers shared: what an audit looks at. */
import type { Tensor } from 'onnxruntime-node';
import type { GraphSession } from './graph-session';
import type { BoundGraph } from './bound';

/** Rows of one caller within a run, along the row axis of each input and output. */
export interface Rows {
  readonly from: number;
  readonly count: number;
}

export interface JointRun {
  readonly graph: BoundGraph;
  readonly session: GraphSession;
  /** By the graph's names. Valid only while the tap is called: buffers are used again. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly results: Readonly<Record<string, Tensor>>;
  /** One for each caller, in order. */
  readonly callers: readonly Rows[];
}

/** Called after each joint run that succeeded, before its results are used. Copies what it keeps. */
export type RunTap = (run: JointRun) => void;
