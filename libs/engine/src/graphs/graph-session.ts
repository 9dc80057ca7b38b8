/** A graph that is loaded and can be run: what all kinds of models are made of. */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { StateMemory } from './state-memory';

/** Tensors by the graph's names. */
export type Tensors = Readonly<Record<string, Tensor>>;

/**
 * Outputs that are wanted: their names, or where each is written; null: a new tensor. One that is written somewhere
 * has the shape of the tensor there.
 */
export type Fetches = readonly string[] | Readonly<Record<string, Tensor | null>>;

/** How ONNX Runtime is called: by its C API, with states in the memory of a device or not, or by the binding for Node. */
export type CalledBy = 'c-api' | 'io-binding' | 'binding';

export interface GraphSession {
  readonly calledBy: CalledBy;
  /** Where states stay that its runs read and write. Undefined: they are JavaScript's. */
  readonly memory?: StateMemory;
  /** In the graph's order. */
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[];
  /**
   * Feeds and tensors that are fetched into stay as they are until it answers. One run at a time.
   *
   * @throws Error with ONNX Runtime's words.
   */
  run(feeds: Tensors, fetches: Fetches): Promise<Tensors>;
  /** Nothing runs any more. */
  release(): Promise<void>;
}
