/** The manifest of a model that takes texts, from the files that its exporter wrote. */
import { join } from 'node:path';
import { readTextModelConfig } from '../text-model/config';
import type { TextModelConfig } from '../text-model/config';
import type { FoundTextModel } from '../text-model/find';
import { languageModelManifest, tokenizerIn } from './language-model-parts';
import type { ModulePlace } from './load-module';
import type { Report } from './problems';
import type { TextModelProgram } from './program';
import type { WrittenLanguageModel } from './schema-language-model';
import type { ModelSignature } from './signature';
import type { Manifest } from './types';

/** Bytes of the texts of a turn: they are cut, but first they are read. */
const ROOM = 1024 * 1024;
const MOST_ROWS = 16;

/** @param report is told of everything that is wrong; undefined is answered then */
export async function loadTextModel(
  written: Omit<WrittenLanguageModel, 'kind'>,
  place: ModulePlace,
  { file, layout }: FoundTextModel,
  report: Report,
): Promise<Manifest | undefined> {
  const folder = join(place.folder, place.version);
  const config = await readTextModelConfig(folder, layout, report);
  const tokenizer = await tokenizerIn(folder);
  if (config === undefined || tokenizer === undefined) return undefined;
  const most = config.maxTokens ?? Infinity;
  const maxTokens = written.limits.max_sequence_length ?? most;
  if (maxTokens > most || !Number.isFinite(maxTokens) || maxTokens < 3) {
    const range = Number.isFinite(most) ? `3 to ${most}` : 'how many';
    report('limits.max_sequence_length', written.limits.max_sequence_length, `${range} tokens`);
    return undefined;
  }
  const { takesTypes, idDtype, output } = layout;
  const { padToken, head } = config;
  const program: TextModelProgram = {
    ...{ takesTypes, idDtype, output, padToken, head },
    tokenizer: { ...tokenizer, maxTokens },
  };
  return languageModelManifest(
    written,
    place,
    {
      signature: signatureOf(written, config, maxTokens),
      notes: [],
      graphs: [{ name: 'main', file: join(folder, file) }],
      program: { textModel: program },
      batching: { class: undefined, maxBatch: MOST_ROWS },
    },
    report,
  );
}

function signatureOf(
  { description, limits }: Omit<WrittenLanguageModel, 'kind'>,
  { head, labels }: TextModelConfig,
  maxTokens: number,
): Omit<ModelSignature, 'name' | 'version' | 'digest'> {
  return {
    kind: 'stateless',
    description,
    inputs: [
      {
        ...{ name: 'text', dtype: 'string', alsoDtypes: [], shape: ['rows'] },
        ...{ minimum: undefined, maximum: undefined, allowNan: false },
        description: `Texts, of which the first ${maxTokens} tokens are read.`,
        media: { kind: 'text' },
      },
    ],
    outputs: [
      head.to === 'scores'
        ? { name: 'scores', description: 'How well each label fits, for each text.', labels }
        : { name: 'embedding', description: 'A vector for each text.', labels: [] },
    ],
    parameters: [],
    text: { input: undefined, output: undefined },
    limits: {
      maxInputBytes: limits.max_input_bytes ?? ROOM,
      maxSequenceLength: maxTokens,
      maxStateBytes: undefined,
    },
    takesPrompt: true,
    takesLiveInput: false,
    takesEmpty: false,
    framed: [],
    rows: [{ input: 'text', axis: 0 }],
    sessions: undefined,
  };
}
