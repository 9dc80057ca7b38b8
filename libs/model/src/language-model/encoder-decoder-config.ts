/** What exporters write beside the graphs of an encoder and its decoder. */
import { z } from 'zod';
import type { Report } from '../manifest/problems';
import type { AudioFeatures, DecoderPrefix } from '../manifest/program';
import {
  CONFIG,
  GENERATION_CONFIG,
  count,
  generationSchema,
  notesOf,
  readConfigFile,
  samplingOf,
  token,
  tokens,
} from './config';
import type { LanguageModelConfig } from './config';
import { isFile } from './is-file';
import { join } from 'node:path';

export const PREPROCESSOR_CONFIG = 'preprocessor_config.json';
/** Tokens of an answer where nothing says how many positions there are: T5 has no limit of its own. */
const USUAL_LENGTH = 512;

/** Of generation_config.json. */
const APPLIED = ['suppress_tokens', 'begin_suppress_tokens', 'forced_bos_token_id'];

export interface EncoderDecoderConfig extends LanguageModelConfig {
  /** Most tokens that the encoder takes; where it takes tokens. */
  readonly sourceLength: number;
  readonly prefix: DecoderPrefix;
  readonly suppress: readonly number[];
  readonly beginSuppress: readonly number[];
}

const configSchema = z.object({
  vocab_size: count.nullish(),
  max_position_embeddings: count.nullish(),
  n_positions: count.nullish(),
  max_target_positions: count.nullish(),
  decoder_start_token_id: token.nullish(),
  forced_bos_token_id: token.nullish(),
  eos_token_id: tokens.nullish(),
});

const ids = z.record(z.string(), token);
const forced = z.array(z.tuple([token, token.nullable()]));

const encoderGenerationSchema = generationSchema.extend({
  decoder_start_token_id: token.nullish(),
  forced_bos_token_id: token.nullish(),
  forced_decoder_ids: forced.nullish(),
  lang_to_id: ids.nullish(),
  task_to_id: ids.nullish(),
  no_timestamps_token_id: token.nullish(),
  suppress_tokens: z.array(z.int()).nullish(),
  begin_suppress_tokens: z.array(z.int()).nullish(),
});

/** @param report is told of what is wrong; undefined is answered then */
export async function readEncoderDecoderConfig(
  folder: string,
  report: Report,
): Promise<EncoderDecoderConfig | undefined> {
  const config = await readConfigFile(folder, CONFIG, configSchema, true, report);
  const generation = await readConfigFile(
    folder,
    GENERATION_CONFIG,
    encoderGenerationSchema,
    false,
    report,
  );
  if (config === undefined || generation === undefined) return undefined;
  const { vocab_size: vocabularySize } = config;
  if (typeof vocabularySize !== 'number')
    report(`${CONFIG}: vocab_size`, undefined, 'how many tokens there are');
  const start = generation.decoder_start_token_id ?? config.decoder_start_token_id;
  if (typeof start !== 'number')
    report(`${CONFIG}: decoder_start_token_id`, undefined, 'the token that answers begin with');
  const rest = forcedTokens(generation, config.forced_bos_token_id, report);
  if (typeof vocabularySize !== 'number' || typeof start !== 'number' || rest === undefined)
    return undefined;
  const length = config.max_position_embeddings ?? config.n_positions ?? undefined;
  const ends = generation.eos_token_id ?? config.eos_token_id ?? [];
  return {
    vocabularySize,
    contextLength: config.max_target_positions ?? length ?? USUAL_LENGTH,
    sourceLength: length ?? USUAL_LENGTH,
    endTokens: typeof ends === 'number' ? [ends] : ends,
    sampling: samplingOf(generation),
    prefix: { start, speech: speechOf(generation), rest },
    suppress: below(vocabularySize, generation.suppress_tokens),
    beginSuppress: below(vocabularySize, generation.begin_suppress_tokens),
    notes: notesOf(generation, ends, APPLIED),
  };
}

type Generation = z.output<typeof encoderGenerationSchema>;

function speechOf({ lang_to_id, task_to_id }: Generation): DecoderPrefix['speech'] {
  if (!lang_to_id || !task_to_id || Object.keys(lang_to_id).length === 0) return undefined;
  // `<|en|>` is en.
  const named = Object.entries(lang_to_id).map(
    ([name, id]) => [name.replace(/^<\|(.*)\|>$/, '$1'), id] as const,
  );
  return { languages: Object.fromEntries(named), tasks: task_to_id };
}

/** What follows start, language and task: no timestamps, as transformers asks for none. */
function forcedTokens(
  generation: Generation,
  firstToken: number | null | undefined,
  report: Report,
): number[] | undefined {
  const { no_timestamps_token_id: plain, forced_decoder_ids: written } = generation;
  const first = generation.forced_bos_token_id ?? firstToken;
  const rest = typeof first === 'number' ? [first] : [];
  if (speechOf(generation) === undefined && written) {
    const inOrder = written.every(([place], index) => place === index + 1);
    const known = written.flatMap(([, id]) => id ?? []);
    if (!inOrder || known.length < written.length) {
      report(
        `${GENERATION_CONFIG}: forced_decoder_ids`,
        written,
        'a token for each place from 1 on; lang_to_id and task_to_id say what may be chosen',
      );
      return undefined;
    }
    rest.push(...known);
  }
  if (typeof plain === 'number' && rest.at(-1) !== plain) rest.push(plain);
  return rest;
}

/** Exports have -1 among them, which is none. */
function below(size: number, given: readonly number[] | null | undefined): number[] {
  return (given ?? []).filter((id) => id >= 0 && id < size);
}

const preprocessorSchema = z.object({
  feature_extractor_type: z.string().nullish(),
  feature_size: count.nullish(),
  sampling_rate: count.nullish(),
  n_fft: count.nullish(),
  hop_length: count.nullish(),
  n_samples: count.nullish(),
  chunk_length: count.nullish(),
});

/**
 * How Whisper's features are computed. `none`: nothing says it, so callers send features. Undefined where
 * something is wrong, which was reported then.
 */
export async function readAudioFeatures(
  folder: string,
  { bins, frames }: { readonly bins: number; readonly frames: number },
  report: Report,
): Promise<AudioFeatures | 'none' | undefined> {
  if (!(await isFile(join(folder, PREPROCESSOR_CONFIG)))) return 'none';
  const written = await readConfigFile(
    folder,
    PREPROCESSOR_CONFIG,
    preprocessorSchema,
    true,
    report,
  );
  if (written === undefined) return undefined;
  const { sampling_rate, n_fft, hop_length, n_samples, chunk_length } = written;
  const kind = written.feature_extractor_type ?? undefined;
  if (kind !== 'WhisperFeatureExtractor') {
    report(
      `${PREPROCESSOR_CONFIG}: feature_extractor_type`,
      kind,
      'WhisperFeatureExtractor; without this file callers send input_features',
    );
    return undefined;
  }
  const sampleRate = sampling_rate ?? 16_000;
  const samples = n_samples ?? (chunk_length ?? 30) * sampleRate;
  const features = { sampleRate, window: n_fft ?? 400, hop: hop_length ?? 160, samples };
  if ((written.feature_size ?? bins) !== bins)
    report(`${PREPROCESSOR_CONFIG}: feature_size`, written.feature_size, `${bins}, as the encoder`);
  else if (samples !== frames * features.hop)
    report(
      `${PREPROCESSOR_CONFIG}: n_samples`,
      samples,
      `${frames * features.hop}: ${frames} frames of the encoder, each of ${features.hop} samples`,
    );
  else return features;
  return undefined;
}
