/** The manifest of a language model with an encoder, from the files that its exporter wrote. */
import { join } from 'node:path';
import {
  readAudioFeatures,
  readEncoderDecoderConfig,
} from '../language-model/encoder-decoder-config';
import type { EncoderDecoderConfig } from '../language-model/encoder-decoder-config';
import { crossDecoderLayout, encoderLayout } from '../language-model/encoder-decoder-layout';
import type { CrossDecoderLayout, SourceLayout } from '../language-model/encoder-decoder-layout';
import type { FoundLanguageModel } from '../language-model/find';
import { languageModelParameters } from '../language-model/parameters';
import { readGraph } from '../onnx-file/read';
import {
  ROOM,
  TOKEN_OUTPUTS,
  contextOf,
  languageModelManifest,
  noTokenizer,
  tokenizerIn,
} from './language-model-parts';
import type { ModulePlace } from './load-module';
import type { Report } from './problems';
import type { DecoderGraphs, EncoderDecoderProgram, EncoderSource } from './program';
import type { WrittenLanguageModel } from './schema-language-model';
import type { InputSpec, ModelSignature, ParameterSpec } from './signature';
import type { Manifest } from './types';

type Found = Extract<FoundLanguageModel, { kind: 'encoder-decoder' }>;

/** @param report is told of everything that is wrong, or not served; undefined is answered then */
export async function loadEncoderDecoder(
  written: WrittenLanguageModel,
  place: ModulePlace,
  { encoder, decoder: files }: Found,
  report: Report,
): Promise<Manifest | undefined> {
  const folder = join(place.folder, place.version);
  if (files === undefined) {
    const expected = `decoder_model_merged.onnx, or decoder_model.onnx and decoder_with_past_model.onnx, beside ${encoder} in ${folder}`;
    report('graph', undefined, expected);
    return undefined;
  }
  const encoderFile = join(folder, encoder);
  const source = encoderLayout(await readGraph(encoderFile), within(encoder, report));
  const decoder = inFolder(folder, files);
  const layout = await decoderLayoutOf(decoder, report);
  const config = await readEncoderDecoderConfig(folder, report);
  if (source === undefined || layout === undefined || config === undefined) return undefined;
  const sent = await sourceOf(source, folder, config, written, report);
  if (sent === undefined) return undefined;
  const contextLength = contextOf(written, config, report);
  const tokenizer = await tokenizerIn(folder);
  const program: EncoderDecoderProgram = {
    encoder: { file: encoderFile, source: sent },
    decoder,
    crossCache: layout.crossCache,
    target: {
      ...{ cache: layout.cache, logitsDtype: layout.logitsDtype, rounding: layout.rounding },
      ...{ takesMask: false, takesPositions: false },
      vocabularySize: config.vocabularySize,
      contextLength,
      endTokens: config.endTokens,
      tokenizer,
      chat: undefined,
    },
    prefix: config.prefix,
    suppress: config.suppress,
    beginSuppress: config.beginSuppress,
  };
  return languageModelManifest(
    written,
    place,
    {
      signature: signatureOf(written, config, program),
      notes: [...config.notes, ...noTokenizer(tokenizer)],
      graphs: [{ name: 'encoder', file: encoderFile }, ...graphsOf(decoder)],
      program: { encoderDecoder: program },
    },
    report,
  );
}

function within(file: string, report: Report): Report {
  return (key, value, expected) => report(`${file}: ${key}`, value, expected);
}

function inFolder(folder: string, decoder: DecoderGraphs): DecoderGraphs {
  if (decoder.how === 'merged') return { how: 'merged', file: join(folder, decoder.file) };
  return { how: 'pair', first: join(folder, decoder.first), next: join(folder, decoder.next) };
}

function graphsOf(decoder: DecoderGraphs): { name: string; file: string }[] {
  if (decoder.how === 'merged') return [{ name: 'decoder', file: decoder.file }];
  return [
    { name: 'first-decoder', file: decoder.first },
    { name: 'decoder', file: decoder.next },
  ];
}

async function decoderLayoutOf(
  decoder: DecoderGraphs,
  report: Report,
): Promise<CrossDecoderLayout | undefined> {
  const file = decoder.how === 'merged' ? decoder.file : decoder.next;
  const withCache = await readGraph(file);
  const first = decoder.how === 'merged' ? withCache : await readGraph(decoder.first);
  return crossDecoderLayout(decoder, withCache, first, within(file, report));
}

async function sourceOf(
  source: SourceLayout,
  folder: string,
  config: EncoderDecoderConfig,
  { limits }: WrittenLanguageModel,
  report: Report,
): Promise<EncoderSource | undefined> {
  if (source.kind === 'tokens') {
    const { vocabularySize, sourceLength } = config;
    const maxTokens = Math.min(sourceLength, limits.max_sequence_length ?? sourceLength);
    return { kind: 'tokens', vocabularySize, maxTokens };
  }
  const audio = await readAudioFeatures(folder, source, report);
  return audio === undefined
    ? undefined
    : { ...source, audio: audio === 'none' ? undefined : audio };
}

function signatureOf(
  { description, limits }: WrittenLanguageModel,
  config: EncoderDecoderConfig,
  { encoder: { source }, target, prefix }: EncoderDecoderProgram,
): Omit<ModelSignature, 'name' | 'version' | 'digest'> {
  const spoken = target.tokenizer !== undefined;
  return {
    kind: 'language-model',
    description,
    inputs: [inputOf(source)],
    outputs: TOKEN_OUTPUTS,
    parameters: [
      ...speechParameters(prefix.speech),
      ...languageModelParameters({
        ...config,
        ...{ contextLength: target.contextLength, text: spoken, guided: false },
      }),
    ],
    text: { input: undefined, output: undefined },
    limits: {
      maxInputBytes: roomFor(source) ?? limits.max_input_bytes ?? ROOM,
      maxSequenceLength: source.kind === 'tokens' ? source.maxTokens : target.contextLength,
      maxStateBytes: undefined,
    },
    takesPrompt: spoken && source.kind === 'tokens',
    writesText: spoken,
    takesLiveInput: false,
    takesEmpty: false,
    framed: [],
    rows: [],
    sessions: undefined,
  };
}

/** What the encoder looks at, and no more: nothing is cut off in silence. */
function roomFor(source: EncoderSource): number | undefined {
  if (source.kind === 'tokens') return undefined;
  return 4 * (source.audio?.samples ?? source.bins * source.frames);
}

function inputOf(source: EncoderSource): InputSpec {
  const float = { dtype: 'float32', alsoDtypes: [], allowNan: false } as const;
  if (source.kind === 'tokens')
    return {
      ...{ name: 'input_ids', dtype: 'int64', alsoDtypes: [], shape: ['tokens'] },
      ...{ minimum: 0, maximum: source.vocabularySize - 1, allowNan: false },
      description: 'Ids of the tokens that the encoder reads, in place of their text.',
      media: { kind: 'text' },
    };
  const { audio, bins, frames } = source;
  if (audio === undefined)
    return {
      ...float,
      ...{ name: 'input_features', shape: [bins, frames], minimum: undefined, maximum: undefined },
      description: 'A spectrogram as the feature extractor of the model makes it.',
      media: undefined,
    };
  return {
    ...float,
    ...{ name: 'audio', shape: ['samples'], minimum: -1, maximum: 1 },
    description: `Samples of one channel, at most ${audio.samples / audio.sampleRate} s.`,
    media: { kind: 'audio', sampleRate: audio.sampleRate },
  };
}

/** Text of the parameter that asks for the language to be found. */
const ANY_LANGUAGE = 'auto';

function speechParameters(speech: EncoderDecoderProgram['prefix']['speech']): ParameterSpec[] {
  if (speech === undefined) return [];
  const text = { shape: [], dtype: 'string', minimum: undefined, maximum: undefined } as const;
  const tasks = Object.keys(speech.tasks);
  return [
    {
      ...{ ...text, name: 'language', default: ANY_LANGUAGE },
      oneOf: [ANY_LANGUAGE, ...Object.keys(speech.languages)],
      description: 'The language that is spoken; auto: the most likely one.',
    },
    {
      ...{ ...text, name: 'task', oneOf: tasks },
      default: tasks.includes('transcribe') ? 'transcribe' : (tasks[0] ?? ''),
      description: 'What to write down: what was said, or an English translation.',
    },
  ];
}
