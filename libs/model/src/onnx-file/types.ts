import type { OnnxElementType } from './element-types';

/** What an ONNX file says of its graph, without its weights. */
export interface GraphSummary {
  readonly irVersion: number;
  /** `''` is the domain of the standard operators. */
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  /** Inputs that a run needs, in the file's order. */
  readonly inputs: readonly GraphValue[];
  /** Inputs that an initializer gives a default: ONNX Runtime's Node binding ignores what is fed to them. */
  readonly defaulted: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  /** Names of the weights and constants of the graph itself, without its subgraphs. */
  readonly initializers: ReadonlySet<string>;
  readonly nodes: readonly GraphNode[];
  /** Where external data lie, relative to the file's folder, as the file says it; each place once. */
  readonly externalFiles: readonly string[];
  readonly metadata: {
    readonly producer: string;
    readonly docString: string;
    readonly domain: string;
    readonly modelVersion: number;
    /** Custom properties. Values over 64 KiB are cut, and so is `docString`. */
    readonly properties: ReadonlyMap<string, string>;
  };
}

/**
 * An input or output. `dtype` and `dims` of a sequence, an optional and a map are those of the tensors
 * within; of a map they are those of its values.
 */
export interface GraphValue {
  readonly name: string;
  /** `unknown`: the file gives no type (a runtime may infer it), or an opaque one. */
  readonly kind: 'tensor' | 'sparse' | 'sequence' | 'map' | 'optional' | 'unknown';
  readonly dtype: OnnxElementType;
  /**
   * A number is fixed, a string the name of a free dimension (never `''`), undefined a free one without
   * a name. Undefined as a whole: the rank is not known.
   */
  readonly dims: readonly (number | string | undefined)[] | undefined;
}

export interface GraphNode {
  readonly op: string;
  /** `''` for the standard operators. */
  readonly domain: string;
  /** An optional input that is left out is `''`. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Branches and bodies of If, Loop and Scan. Absent where there are none. */
  readonly subgraphs?: readonly Subgraph[];
}

/** A graph within a node: it may use every name of the graphs around it. */
export interface Subgraph {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly initializers: ReadonlySet<string>;
  readonly nodes: readonly GraphNode[];
}
