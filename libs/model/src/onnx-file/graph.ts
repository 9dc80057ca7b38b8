/** GraphProto, NodeProto and AttributeProto: what computes what. */
import type { Cursor } from './cursor';
import { readTensor } from './tensor';
import type { GraphNode, GraphValue, Subgraph } from './types';
import { readValue } from './value';

const MAX_NODES = 1_000_000;

/** A graph as it is read; several may be open, one within the other. */
export interface GraphParts {
  readonly inputs: GraphValue[];
  readonly outputs: GraphValue[];
  readonly initializers: Set<string>;
  readonly nodes: GraphNode[];
}

/** Reads graphs of one file, and collects what all of them have in common. */
export class GraphReader {
  readonly externalFiles = new Set<string>();
  readonly #cursor: Cursor;
  #nodes = 0;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  /**
   * GraphProto: node = 1, initializer = 5, input = 11, output = 12, sparse_initializer = 15. A message that
   * comes in several pieces adds up, so `graph` may hold something already.
   */
  async graph(length: number, graph: GraphParts): Promise<void> {
    const cursor = this.#cursor;
    await cursor.message(length, {
      bytes: {
        1: async (size) => {
          graph.nodes.push(await this.#node(size));
        },
        5: async (size) => {
          graph.initializers.add(await readTensor(cursor, size, this.externalFiles));
        },
        11: async (size) => {
          graph.inputs.push(await readValue(cursor, size));
        },
        12: async (size) => {
          graph.outputs.push(await readValue(cursor, size));
        },
        15: async (size) => {
          graph.initializers.add(await this.#sparseTensor(size));
        },
      },
    });
  }

  /** NodeProto: input = 1, output = 2, op_type = 4, attribute = 5, domain = 7. */
  async #node(length: number): Promise<GraphNode> {
    const cursor = this.#cursor;
    cursor.keep();
    this.#nodes += 1;
    if (this.#nodes > MAX_NODES) throw cursor.problem('more', `at most ${MAX_NODES} nodes`);
    let op = '';
    let domain = '';
    const inputs: string[] = [];
    const outputs: string[] = [];
    const subgraphs: Subgraph[] = [];
    await cursor.message(length, {
      bytes: {
        1: async (size) => {
          inputs.push(await cursor.text(size));
        },
        2: async (size) => {
          outputs.push(await cursor.text(size));
        },
        4: async (size) => {
          op = await cursor.text(size);
        },
        5: async (size) => this.#attribute(size, subgraphs),
        7: async (size) => {
          domain = await cursor.text(size);
        },
      },
    });
    // ai.onnx is the long name of the standard operators' domain.
    if (domain === 'ai.onnx') domain = '';
    return { op, domain, inputs, outputs, ...(subgraphs.length > 0 && { subgraphs }) };
  }

  /**
   * AttributeProto: t = 5, g = 6, tensors = 10, graphs = 11, sparse_tensor = 22, sparse_tensors = 23. It holds one value; the
   * lists floats = 7, ints = 8 and strings = 9, which may be the weights of a forest of trees, end the search.
   */
  async #attribute(length: number, subgraphs: Subgraph[]): Promise<void> {
    const tensor = async (size: number): Promise<void> => {
      await readTensor(this.#cursor, size, this.externalFiles);
    };
    const sparseTensor = async (size: number): Promise<void> => {
      await this.#sparseTensor(size);
    };
    const graph = async (size: number): Promise<void> => {
      subgraphs.push(await this.#subgraph(size));
    };
    await this.#cursor.message(length, {
      bytes: { 5: tensor, 6: graph, 10: tensor, 11: graph, 22: sparseTensor, 23: sparseTensor },
      endAt: LISTS,
    });
  }

  async #subgraph(length: number): Promise<Subgraph> {
    const parts: GraphParts = { inputs: [], outputs: [], initializers: new Set(), nodes: [] };
    await this.graph(length, parts);
    const names = (values: readonly GraphValue[]): string[] => values.map(({ name }) => name);
    return { ...parts, inputs: names(parts.inputs), outputs: names(parts.outputs) };
  }

  /** SparseTensorProto: values = 1, which has the name of the whole, and indices = 2. */
  async #sparseTensor(length: number): Promise<string> {
    const cursor = this.#cursor;
    let name = '';
    await cursor.message(length, {
      bytes: {
        1: async (size) => {
          name = await readTensor(cursor, size, this.externalFiles);
        },
        2: async (size) => {
          await readTensor(cursor, size, this.externalFiles);
        },
      },
    });
    return name;
  }
}

const LISTS: ReadonlySet<number> = new Set([7, 8, 9]);
