/**
 * Reads what an ONNX file says of its graph, without ONNX Runtime, which may abort the process on a bad
 * file. All field numbers of this folder are those of
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
 */
import { CabstandError } from '@cabstand/core';
import { openRegular } from '../files/regular';
import { Cursor } from './cursor';
import type { Source } from './cursor';
import { GraphReader } from './graph';
import type { GraphParts } from './graph';
import { readEntry } from './tensor';
import type { GraphSummary } from './types';

/**
 * Weights are skipped, not read: a file of gigabytes takes the memory of its names. Bodies of a model's local
 * functions and its training graphs are skipped too.
 *
 * @throws CabstandError MANIFEST_INVALID if the file cannot be read or is not an ONNX file; it names the file,
 *   the byte's offset and what was expected there. The same for a file beyond the limits: 1,000,000 nodes,
 *   64 MiB beside the weights, 100 messages within one another, names of 64 KiB.
 */
export async function readGraph(path: string): Promise<GraphSummary> {
  try {
    await using file = await openRegular(path);
    const { handle, size } = file;
    const read = async (into: Uint8Array, position: number): Promise<number> =>
      (await handle.read(into, 0, into.length, position)).bytesRead;
    return await readModel({ size, read }, path);
  } catch (cause) {
    if (CabstandError.is(cause)) throw cause;
    const { message } = CabstandError.from(cause);
    throw new CabstandError('MANIFEST_INVALID', `${path}: cannot be read: ${message}`, {
      metadata: { file: path },
      cause,
    });
  }
}

/**
 * ModelProto: ir_version = 1, producer_name = 2, domain = 4, model_version = 5, doc_string = 6, graph = 7,
 * opset_import = 8, metadata_props = 14.
 *
 * @param file named in errors.
 * @throws CabstandError MANIFEST_INVALID as `readGraph`.
 */
export async function readModel(source: Source, file: string): Promise<GraphSummary> {
  const cursor = new Cursor(source, file);
  const reader = new GraphReader(cursor);
  const graph: GraphParts = { inputs: [], outputs: [], initializers: new Set(), nodes: [] };
  const model = { irVersion: 0, hasGraph: false };
  const opsets: { domain: string; version: number }[] = [];
  const properties = new Map<string, string>();
  const metadata = { producer: '', docString: '', domain: '', modelVersion: 0, properties };
  await cursor.message(source.size, {
    varints: {
      1: (value) => {
        model.irVersion = value;
      },
      5: (value) => {
        metadata.modelVersion = value;
      },
    },
    bytes: {
      2: async (size) => {
        metadata.producer = await cursor.text(size);
      },
      4: async (size) => {
        metadata.domain = await cursor.text(size);
      },
      6: async (size) => {
        metadata.docString = await cursor.excerpt(size);
      },
      7: async (size) => {
        model.hasGraph = true;
        await reader.graph(size, graph);
      },
      8: async (size) => {
        opsets.push(await readOpset(cursor, size));
      },
      14: async (size) => {
        const [key, value] = await readEntry(cursor, size);
        properties.set(key, value);
      },
    },
  });
  if (model.irVersion < 1) throw cursor.problem('nothing', 'an ir_version before the end');
  if (!model.hasGraph) throw cursor.problem('nothing', 'a graph before the end');
  const { inputs, initializers } = graph;
  return {
    ...graph,
    irVersion: model.irVersion,
    opsets,
    inputs: inputs.filter(({ name }) => !initializers.has(name)),
    defaulted: inputs.filter(({ name }) => initializers.has(name)),
    externalFiles: [...reader.externalFiles],
    metadata,
  };
}

/** OperatorSetIdProto: domain = 1, version = 2. */
async function readOpset(
  cursor: Cursor,
  length: number,
): Promise<{ domain: string; version: number }> {
  cursor.keep();
  let domain = '';
  let version = 0;
  await cursor.message(length, {
    varints: {
      2: (value) => {
        version = value;
      },
    },
    bytes: {
      1: async (size) => {
        domain = await cursor.text(size);
      },
    },
  });
  return { domain: domain === 'ai.onnx' ? '' : domain, version };
}
