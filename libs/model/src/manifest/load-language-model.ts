/** The manifest of a language model, from the files that its exporter wrote. */
import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { readChatTemplate } from '../language-model/chat-template';
import { readLanguageModelConfig } from '../language-model/config';
import type { LanguageModelConfig } from '../language-model/config';
import type { FoundExport } from '../language-model/export-files';
import type { FoundLanguageModel } from '../language-model/find';
import { decoderLayout } from '../language-model/layout';
import { languageModelParameters } from '../language-model/parameters';
import { toolCallFormat } from '../language-model/tool-calls';
import type { ModulePlace } from './load-module';
import {
  ROOM,
  TOKEN_OUTPUTS,
  contextOf,
  languageModelManifest,
  noTokenizer,
  tokenizerIn,
} from './language-model-parts';
import { loadEncoderDecoder } from './load-encoder-decoder';
import { loadTextModel } from './load-text-model';
import type { Problems, Report } from './problems';
import type { LanguageModelProgram } from './program';
import type { WrittenLanguageModel } from './schema-language-model';
import type { InputSpec, ModelSignature } from './signature';
import type { Manifest } from './types';

/** Most sequences that run together: more rows hardly make a step cheaper for each. */
const MOST_ROWS = 16;

const MESSAGES_INPUT: InputSpec = {
  ...{ name: 'messages', dtype: 'string', alsoDtypes: [], shape: [1], replaces: 'input_ids' },
  ...{ minimum: undefined, maximum: undefined, allowNan: false, media: { kind: 'text' } },
  description:
    'A conversation, in place of a prompt, as JSON: [{"role", "content"}, …], or {"messages", "tools", "template", "now"}.',
};

/**
 * As exporters of transformers write models.
 *
 * @param found what the model's folder holds; undefined: nothing of the kind
 * @throws CabstandError MANIFEST_INVALID for what is wrong, or not served: all of it at once.
 */
export async function loadExported(
  written: WrittenLanguageModel,
  place: ModulePlace,
  found: FoundExport | undefined,
  problems: Problems,
): Promise<Manifest> {
  const { report } = problems;
  const manifest =
    found?.kind === 'texts'
      ? await loadTextModel(written, place, found, report)
      : await read(written, place, found, report);
  problems.throwIfAny();
  if (manifest !== undefined) return manifest;
  throw new CabstandError('INTERNAL', `${place.folder}: no model, and no reason why`);
}

async function read(
  written: WrittenLanguageModel,
  place: ModulePlace,
  found: FoundLanguageModel | undefined,
  report: Report,
): Promise<Manifest | undefined> {
  const folder = join(place.folder, place.version);
  if (found?.kind === 'encoder-decoder')
    return await loadEncoderDecoder(written, place, found, report);
  const config = await readLanguageModelConfig(folder, report);
  if (found === undefined || found.kind === 'several') {
    const expected =
      found === undefined
        ? `the graph of a decoder with its cache, in ${folder}`
        : `which of ${found.files.join(', ')} is served: each is a decoder with its cache`;
    report('graph', written.graph, expected);
    return undefined;
  }
  const file = join(folder, found.file);
  const layout = decoderLayout(
    found.graph,
    (key, value, expected) => report(`${found.file}: ${key}`, value, expected),
    config?.headSize,
  );
  if (config === undefined || layout === undefined) return undefined;
  const contextLength = contextOf(written, config, report);
  const tokenizer = await tokenizerIn(folder);
  const program: LanguageModelProgram = {
    ...layout,
    vocabularySize: config.vocabularySize,
    contextLength,
    endTokens: config.endTokens,
    tokenizer,
    chat: tokenizer && (await readChatTemplate(folder, report)),
  };
  const left =
    found.others.length === 0
      ? []
      : [`${found.others.join(', ')} beside ${found.file}: not served; \`graph\` chooses another`];
  return languageModelManifest(
    written,
    place,
    {
      signature: signatureOf(written, config, program),
      notes: [...config.notes, ...left, ...noTokenizer(tokenizer)],
      // For what looks at files and their sizes; how it is fed, `languageModel` says.
      graphs: [{ name: 'decoder', file }],
      program: { languageModel: program },
      batching: { class: undefined, maxBatch: MOST_ROWS },
    },
    report,
  );
}

function signatureOf(
  { description, limits }: WrittenLanguageModel,
  config: LanguageModelConfig,
  { vocabularySize, contextLength, tokenizer, chat }: LanguageModelProgram,
): Omit<ModelSignature, 'name' | 'version' | 'digest'> {
  return {
    kind: 'language-model',
    description,
    inputs: [
      {
        ...{ name: 'input_ids', dtype: 'int64', alsoDtypes: [], shape: ['tokens'] },
        // A graph takes negative ids for ids from the end, and answers something.
        ...{ minimum: 0, maximum: vocabularySize - 1, allowNan: false },
        description: 'Ids of the tokens of the prompt, in place of its text.',
        media: { kind: 'text' },
      },
      ...(chat === undefined ? [] : [MESSAGES_INPUT]),
    ],
    outputs: TOKEN_OUTPUTS,
    parameters: languageModelParameters({
      ...config,
      ...{ contextLength, text: tokenizer !== undefined, guided: true },
    }),
    text: { input: undefined, output: undefined },
    limits: {
      maxInputBytes: limits.max_input_bytes ?? ROOM,
      // One token at least is to be answered.
      maxSequenceLength: contextLength - 1,
      maxStateBytes: undefined,
    },
    takesPrompt: tokenizer !== undefined,
    toolCalls: toolCallFormat(chat),
    takesLiveInput: false,
    takesEmpty: false,
    framed: [],
    rows: [],
    sessions: undefined,
  };
}
