/** A model whose manifest and ONNX files were found to fit together. */
import type { GraphSpec, Manifest, Sink, Source } from '@cabstand/model';
import type { DType } from '@cabstand/tensor';

/** What ONNX Runtime tells of an input or output. */
export interface TensorMetadata {
  readonly name: string;
  readonly isTensor: boolean;
  readonly type?: string;
  /** Sizes; names (often empty) where they are free. */
  readonly shape?: readonly (number | string)[];
}

export interface GraphMetadata {
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

export interface BoundTensor {
  readonly name: string;
  readonly dtype: DType;
  /** Of the graph, batch axis included; undefined where the graph leaves it free. */
  readonly dims: readonly (number | undefined)[];
  readonly batchAxis: number | null;
}

export interface BoundInput extends BoundTensor {
  readonly source: Source;
}

/** Its `batchAxis` is what the manifest says until `findRowAxes` has found what it is. */
export interface BoundOutput extends BoundTensor {
  /** At least one. */
  readonly sinks: readonly Sink[];
}

export interface BoundGraph {
  readonly spec: GraphSpec;
  readonly inputs: readonly BoundInput[];
  /** Those that are fetched. */
  readonly outputs: readonly BoundOutput[];
}

export interface BoundState {
  readonly name: string;
  readonly dtype: DType;
  /** Of one sequence: 1 at the batch axis. */
  readonly shape: readonly number[];
  readonly batchAxis: number | null;
  readonly initial: number;
  readonly scope: 'session' | 'turn';
  readonly bytes: number;
}

export interface BoundModel {
  readonly manifest: Manifest;
  readonly graphs: readonly BoundGraph[];
  readonly states: readonly BoundState[];
  /** Rows of several sequences can be put together at all. */
  readonly batchable: boolean;
  /** Why not; empty where they can. */
  readonly unbatchedBecause: string;
  /** What else whoever serves the model should know: one sentence each. */
  readonly notes: readonly string[];
  readonly stateBytes: number;
}
