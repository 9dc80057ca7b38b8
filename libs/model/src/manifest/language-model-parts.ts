/** What manifests of all models have in common that exporters of transformers wrote. */
import { join } from 'node:path';
import { TOKENIZER_CONFIG } from '../language-model/chat-template';
import type { LanguageModelConfig } from '../language-model/config';
import { isFile } from '../language-model/is-file';
import { checkParameters } from './check';
import type { ModulePlace } from './load-module';
import type { Report } from './problems';
import type { ModelProgram, TokenizerFiles } from './program';
import type { WrittenLanguageModel } from './schema-language-model';
import type { ModelSignature } from './signature';
import type { Manifest } from './types';

const TOKENIZER = 'tokenizer.json';
/** Bytes of a prompt, unless the manifest says otherwise. */
export const ROOM = 16 * 1024 * 1024;

/** Of a record. */
export const TOKEN_OUTPUTS: ModelSignature['outputs'] = (
  [
    ['token', 'Id of the token that this step chose.'],
    [
      'logprob',
      'Where `logprobs` is asked for: log probability of the token, by the scores of the model.',
    ],
    [
      'top_tokens',
      'Where `logprobs` is above 0: ids of so many most likely tokens, the likeliest first.',
    ],
    ['top_logprobs', 'Their log probabilities.'],
  ] as const
).map(([name, description]) => ({ name, description, labels: [] }));

/** Undefined where there is none. */
export async function tokenizerIn(folder: string): Promise<TokenizerFiles | undefined> {
  const [file, config] = [join(folder, TOKENIZER), join(folder, TOKENIZER_CONFIG)];
  if (!(await isFile(file))) return undefined;
  return { file, config: (await isFile(config)) ? config : undefined };
}

export function noTokenizer(tokenizer: TokenizerFiles | undefined): string[] {
  if (tokenizer !== undefined) return [];
  return [`no ${TOKENIZER}: it takes and gives ids of tokens, and no text`];
}

/** Most tokens, which the manifest may say to be fewer than the model has positions for. */
export function contextOf(
  { limits }: Pick<WrittenLanguageModel, 'limits'>,
  config: Pick<LanguageModelConfig, 'contextLength'>,
  report: Report,
): number {
  const length = limits.max_sequence_length ?? config.contextLength;
  if (length > config.contextLength || length < 2)
    report('limits.max_sequence_length', length, `2 to ${config.contextLength} tokens`);
  return length;
}

/** What is found out of a model, beside what its manifest says. */
interface FoundParts {
  readonly signature: Omit<ModelSignature, 'name' | 'version' | 'digest'>;
  readonly notes: readonly string[];
  readonly graphs: readonly { readonly name: string; readonly file: string }[];
  readonly program: Pick<ModelProgram, 'languageModel' | 'encoderDecoder' | 'textModel'>;
  /** Default: sequences run alone. */
  readonly batching?: ModelProgram['batching'];
}

/** @param report is told of defaults that no turn could have */
export function languageModelManifest(
  written: Pick<WrittenLanguageModel, 'provenance' | 'providers'>,
  place: ModulePlace,
  { signature, notes, graphs, program, batching }: FoundParts,
  report: Report,
): Manifest {
  checkParameters(signature.parameters, report);
  return {
    ...place,
    ...signature,
    notes,
    provenance: written.provenance,
    providers: [...new Set(written.providers)],
    graphs: graphs.map((graph) => ({ ...graph, run: 'per-step', inputs: [], outputs: [] })),
    dims: {},
    state: [],
    generation: undefined,
    batching: batching ?? { class: 'unbatched', maxBatch: 1 },
    golden: { file: undefined, atol: 0, rtol: 0 },
    module: undefined,
    ...program,
  };
}
