/** Where a language model lies. */
import { join } from 'node:path';
import { onnxFiles } from '../manifest/graph-files';
import { readGraph } from '../onnx-file/read';
import type { GraphSummary } from '../onnx-file/types';
import { CONFIG, GENAI_CONFIG } from './config';
import { isFile } from './is-file';
import { looksLikeDecoder } from './layout';

const USUAL_FILE = 'model.onnx';
const ENCODER = 'encoder_model.onnx';
const MERGED = 'decoder_model_merged.onnx';
const FIRST = 'decoder_model.onnx';
const NEXT = 'decoder_with_past_model.onnx';

/** What exporters of transformers wrote into a folder. */
export type FoundLanguageModel =
  | {
      readonly kind: 'decoder';
      readonly file: string;
      readonly graph: GraphSummary;
      /** Other decoders of the folder, which are not served. */
      readonly others: readonly string[];
    }
  | {
      readonly kind: 'encoder-decoder';
      readonly encoder: string;
      /** `merged`: one graph that is told whether there is a cache. `pair`: one for the first run, one with a cache. */
      readonly decoder:
        | { readonly how: 'merged'; readonly file: string }
        | { readonly how: 'pair'; readonly first: string; readonly next: string }
        | undefined;
    }
  /** Decoders none of which is the usual one: the manifest has to say which. */
  | { readonly kind: 'several'; readonly files: readonly string[] };

/**
 * The graphs of a language model in a folder as exporters write it, with a config.json or genai_config.json
 * beside them: those with an encoder by the names of their files, others by token ids and a cache that go in, and
 * logits and the next cache that come out. Undefined where there is none.
 *
 * @param chosen a file that a manifest names, which is then the only one looked at
 */
export async function findLanguageModel(
  folder: string,
  chosen?: string,
): Promise<FoundLanguageModel | undefined> {
  const files = await onnxFiles(folder);
  if (files.length === 0) return undefined;
  const told = [CONFIG, GENAI_CONFIG].map((name) => isFile(join(folder, name)));
  if (!(await Promise.all(told)).includes(true)) return undefined;
  if (chosen === undefined && files.includes(ENCODER)) return withEncoder(files);
  const decoders = new Map<string, GraphSummary>();
  for (const file of chosen === undefined ? files : [chosen]) {
    // What cannot be read is told by whoever loads it.
    const graph = await readGraph(join(folder, file)).catch(() => undefined);
    if (graph !== undefined && looksLikeDecoder(graph)) decoders.set(file, graph);
  }
  const names = [...decoders.keys()];
  const [only] = names;
  if (only === undefined) return undefined;
  // A merged decoder holds the graphs that optimum writes beside it.
  const file = names.length === 1 ? only : decoders.has(USUAL_FILE) ? USUAL_FILE : MERGED;
  const graph = decoders.get(file);
  if (graph === undefined) return { kind: 'several', files: names };
  return { kind: 'decoder', file, graph, others: names.filter((one) => one !== file) };
}

function withEncoder(files: readonly string[]): FoundLanguageModel {
  const found = { kind: 'encoder-decoder', encoder: ENCODER } as const;
  if (files.includes(MERGED)) return { ...found, decoder: { how: 'merged', file: MERGED } };
  const pair = files.includes(FIRST) && files.includes(NEXT);
  return { ...found, decoder: pair ? { how: 'pair', first: FIRST, next: NEXT } : undefined };
}
