/** What exporters write beside the graph of a language model: config.json and generation_config.json. */
import { join } from 'node:path';
import { z } from 'zod';
import { CabstandError, show } from '@cabstand/core';
import { parseJson } from '../files/json';
import { readRegular } from '../files/regular';
import type { Report } from '../manifest/problems';
import { CHAT_TEMPLATE, TOKENIZER_CONFIG } from './chat-template';
import { isFile } from './is-file';
import { genaiSchema } from './genai';

export const CONFIG = 'config.json';
export const GENERATION_CONFIG = 'generation_config.json';
/** What onnxruntime-genai's builder writes in place of both. */
export const GENAI_CONFIG = 'genai_config.json';
/** Files beside the graph that are part of a language model. */
export const LANGUAGE_MODEL_FILES: readonly string[] = [
  ...[CONFIG, GENERATION_CONFIG, GENAI_CONFIG],
  ...['tokenizer.json', TOKENIZER_CONFIG, CHAT_TEMPLATE],
];

const LARGEST_CONFIG = 4 * 1024 * 1024;

interface SamplingDefaults {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly typicalP: number;
  readonly repetitionPenalty: number;
  readonly noRepeatNgramSize: number;
  readonly minTokens: number;
}

export interface LanguageModelConfig {
  /** Ids below this number are tokens. */
  readonly vocabularySize: number;
  /** Most tokens of prompt and answer together. */
  readonly contextLength: number;
  /** Each of them ends an answer. */
  readonly endTokens: readonly number[];
  /** What a turn that says nothing of sampling gets; temperature 0 takes the most likely token. */
  readonly sampling: SamplingDefaults;
  /** Of each head, where the graph itself does not say it. */
  readonly headSize?: number;
  /** What the files ask for and is not done. */
  readonly notes: readonly string[];
}

export const count = z.int().min(1);
export const token = z.int().min(0);
export const tokens = z.union([token, z.array(token)]);

const configSchema = z.object({
  is_encoder_decoder: z.boolean().nullish(),
  vocab_size: count.nullish(),
  max_position_embeddings: count.nullish(),
  n_positions: count.nullish(),
  n_ctx: count.nullish(),
  eos_token_id: tokens.nullish(),
  sliding_window: count.nullish(),
  use_sliding_window: z.boolean().nullish(),
  layer_types: z.array(z.string()).nullish(),
});

/** What transformers knows besides, and what says nothing there. */
const NOT_APPLIED: readonly (readonly [key: string, neutral: unknown])[] = [
  ['num_beams', 1],
  ['penalty_alpha', 0],
  ['epsilon_cutoff', 0],
  ['eta_cutoff', 0],
  ['min_length', 0],
  ['encoder_repetition_penalty', 1],
  ['bad_words_ids', undefined],
  ['sequence_bias', undefined],
  ['suppress_tokens', undefined],
  ['begin_suppress_tokens', undefined],
  ['forced_bos_token_id', undefined],
  ['forced_eos_token_id', undefined],
];

export const generationSchema = z.looseObject({
  eos_token_id: tokens.nullish(),
  do_sample: z.boolean().nullish(),
  temperature: z.number().min(0).nullish(),
  top_k: z.int().min(0).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  typical_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().min(0.01).max(100).nullish(),
  no_repeat_ngram_size: z.int().min(0).nullish(),
  min_new_tokens: z.int().min(0).nullish(),
});

type Config = z.output<typeof configSchema>;
type Generation = z.output<typeof generationSchema>;

/** What transformers takes where a model samples and its files do not say how. */
const TOP_K = 50;

/**
 * Reads what lies in a version's folder. Undefined where something is wrong, which was reported then.
 *
 * @param report is told of what is wrong, and of what these files ask for that is not served
 */
export async function readLanguageModelConfig(
  folder: string,
  report: Report,
): Promise<LanguageModelConfig | undefined> {
  if (await isFile(join(folder, GENAI_CONFIG))) {
    const genai = await readConfigFile(folder, GENAI_CONFIG, genaiSchema, true, report);
    return genai && configOfGenai(genai);
  }
  const config = await readConfigFile(folder, CONFIG, configSchema, true, report);
  const generation = await readConfigFile(
    folder,
    GENERATION_CONFIG,
    generationSchema,
    false,
    report,
  );
  if (config === undefined || generation === undefined) return undefined;
  const problems = unsupported(config);
  for (const [key, value, expected] of problems) report(`${CONFIG}: ${key}`, value, expected);
  const vocabularySize = config.vocab_size ?? undefined;
  const contextLength =
    config.max_position_embeddings ?? config.n_positions ?? config.n_ctx ?? undefined;
  if (vocabularySize === undefined)
    report(`${CONFIG}: vocab_size`, undefined, 'how many tokens there are');
  if (contextLength === undefined)
    report(
      `${CONFIG}: max_position_embeddings`,
      undefined,
      'how many tokens the model looks at; n_positions and n_ctx say it too',
    );
  if (problems.length > 0 || vocabularySize === undefined || contextLength === undefined)
    return undefined;
  const ends = generation.eos_token_id ?? config.eos_token_id ?? [];
  const within = Math.min(contextLength, withinWindow(config));
  return {
    vocabularySize,
    contextLength: within,
    endTokens: typeof ends === 'number' ? [ends] : ends,
    sampling: samplingOf(generation),
    notes: [
      ...notesOf(generation, ends),
      ...(within === contextLength
        ? []
        : [
            `texts have at most ${within} tokens, of ${contextLength}: so they are within the sliding window of ${config.sliding_window}`,
          ]),
    ],
  };
}

function configOfGenai({ model, search }: z.output<typeof genaiSchema>): LanguageModelConfig {
  const { context_length: contextLength, vocab_size: vocabularySize, eos_token_id: ends } = model;
  return {
    ...{ contextLength, vocabularySize, headSize: model.decoder.head_size },
    endTokens: typeof ends === 'number' ? [ends] : ends,
    sampling: samplingOf(search),
    notes: notesOf(search, ends),
  };
}

type Problem = readonly [key: string, value: unknown, expected: string];

function unsupported(config: Config): Problem[] {
  const problems: Problem[] = [];
  const { is_encoder_decoder, sliding_window } = config;
  if (is_encoder_decoder === true)
    problems.push(['is_encoder_decoder', true, 'false, or encoder_model.onnx beside the decoder']);
  const least = 2 * WINDOW_STEP + 1;
  if (withinWindow(config) === 0)
    problems.push(['sliding_window', sliding_window, `none, or one of ${least} tokens or more`]);
  return problems;
}

/** Columns that a run may have beyond those in use: a buffer is longer than the text in it, and so is a part of a prompt. */
const WINDOW_STEP = 64;

/**
 * Most tokens of a text that a sliding window hides nothing of. Exports count the window in columns of the cache,
 * where rows of several lengths have columns between them that are not in use.
 */
function withinWindow({ sliding_window, use_sliding_window, layer_types }: Config): number {
  const slides = layer_types?.includes('sliding_attention') ?? true;
  if (typeof sliding_window !== 'number' || use_sliding_window === false || !slides)
    return Infinity;
  return Math.max(0, Math.floor((sliding_window - 1) / WINDOW_STEP) - 1) * WINDOW_STEP;
}

export function samplingOf(generation: Generation): SamplingDefaults {
  const always = {
    repetitionPenalty: generation.repetition_penalty ?? 1,
    noRepeatNgramSize: generation.no_repeat_ngram_size ?? 0,
    minTokens: generation.min_new_tokens ?? 0,
  };
  if (generation.do_sample !== true)
    return { ...always, temperature: 0, topK: 0, topP: 1, minP: 0, typicalP: 1 };
  return {
    ...always,
    temperature: generation.temperature ?? 1,
    topK: generation.top_k ?? TOP_K,
    topP: generation.top_p ?? 1,
    minP: generation.min_p ?? 0,
    typicalP: generation.typical_p ?? 1,
  };
}

/** @param applied keys that this kind of model does heed */
export function notesOf(
  generation: Generation,
  ends: number | readonly number[],
  applied: readonly string[] = [],
): string[] {
  const notes: string[] = [];
  for (const [key, neutral] of NOT_APPLIED) {
    if (applied.includes(key)) continue;
    const given = generation[key];
    const says = given !== undefined && given !== null && given !== neutral;
    if (says)
      notes.push(`${GENERATION_CONFIG} asks for ${key} ${show(given)}, which is not applied`);
  }
  if (typeof ends !== 'number' && ends.length === 0)
    notes.push(`no eos_token_id: only max_tokens and the context end an answer`);
  return notes;
}

/** Reads a file of the exporter. Undefined where something is wrong, which was reported then. */
export async function readConfigFile<S extends z.ZodType>(
  folder: string,
  name: string,
  schema: S,
  needed: boolean,
  report: Report,
): Promise<z.output<S> | undefined> {
  const path = join(folder, name);
  if (!needed && !(await isFile(path))) return schema.parse({});
  let written: unknown;
  try {
    written = parseJson(await readRegular(path, LARGEST_CONFIG));
  } catch (error) {
    report(name, undefined, `JSON in ${path}: ${CabstandError.from(error).message}`);
    return undefined;
  }
  const result = schema.safeParse(written);
  if (result.success) return result.data;
  for (const { path: key, message } of result.error.issues)
    report(key.length === 0 ? name : `${name}: ${key.join('.')}`, valueAt(written, key), message);
  return undefined;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined,
    value,
  );
}
