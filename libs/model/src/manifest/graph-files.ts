/** The ONNX files of a version, and which graph of the manifest each is. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import type { FoundGraph } from '../infer/fill';
import { operators } from '../onnx-file/reach';
import { readGraph } from '../onnx-file/read';
import type { GraphSummary } from '../onnx-file/types';
import type { Problems } from './problems';
import type { WrittenGraph, WrittenManifest } from './schema';

/** The graph of a manifest that names none. */
const MAIN = 'main';
const USUAL_FILE = 'model.onnx';

/** Reads the file of every graph; what cannot be read is reported. */
export async function findGraphs(
  written: WrittenManifest,
  versionFolder: string,
  problems: Problems,
): Promise<Map<string, FoundGraph>> {
  const { report } = problems;
  const names = Object.keys(written.graphs);
  const graphs: Record<string, WrittenGraph> =
    names.length === 0 ? { [MAIN]: { run: 'per-step', inputs: {} } } : written.graphs;
  const files = await onnxFiles(versionFolder);
  const found = new Map<string, FoundGraph>();
  for (const [name, graph] of Object.entries(graphs)) {
    const file = graph.file ?? usualFile(name, files, names.length <= 1);
    if (file === undefined) {
      const expected =
        files.length === 0
          ? `an ONNX file in ${versionFolder}; there is none`
          : `which of ${files.join(', ')} it is`;
      report(names.length === 0 ? 'graphs' : `graphs.${name}.file`, undefined, expected);
      continue;
    }
    const summary = await summaryOf(
      join(versionFolder, file),
      `graphs.${name}.file`,
      file,
      problems,
    );
    found.set(name, { written: { ...graph, file }, summary });
  }
  return found;
}

/**
 * Operators of which ONNX Runtime 1.30 ends the process, by SIGABRT or SIGFPE, where a dimension is 0:
 * recurrent ones without rows or steps, and the choice of the largest without rows. Operators beyond the
 * standards are not known to be better.
 */
const FATAL_WHEN_EMPTY: ReadonlySet<string> = new Set(['LSTM', 'GRU', 'RNN', 'TopK']);

/** Whether a graph gives a result or an error for tensors without elements, but never ends the process. */
export function survivesEmpty(summary: GraphSummary | undefined): boolean {
  if (summary === undefined) return false;
  return [...operators(summary)].every(
    (name) =>
      !FATAL_WHEN_EMPTY.has(name) && (!name.includes(':') || name.startsWith('ai.onnx.ml:')),
  );
}

/** Names of the ONNX files right in a folder. Empty where there is no such folder. */
export async function onnxFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch(() => []);
  return entries.filter((name) => name.endsWith('.onnx')).sort();
}

/** The one of the graph's name; for a single graph the only one, or model.onnx. */
function usualFile(graph: string, files: readonly string[], single: boolean): string | undefined {
  const own = `${graph}.onnx`;
  if (files.includes(own)) return own;
  if (!single) return undefined;
  if (files.includes(USUAL_FILE)) return USUAL_FILE;
  return files.length === 1 ? files[0] : undefined;
}

async function summaryOf(
  path: string,
  key: string,
  file: string,
  problems: Problems,
): Promise<GraphSummary | undefined> {
  if ((await stat(path).catch(() => undefined))?.isFile() !== true) {
    problems.report(key, file, `a file that exists; there is no ${path}`);
    return undefined;
  }
  try {
    return await readGraph(path);
  } catch (error) {
    // It names the file, which is what is wrong: there may be no manifest.
    problems.add(CabstandError.from(error, 'MANIFEST_INVALID'));
    return undefined;
  }
}
