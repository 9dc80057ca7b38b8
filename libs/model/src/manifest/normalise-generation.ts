/** What generators add: tokens, text and the parameters of sampling. */
import type { Report } from './problems';
import type { GenerationSpec } from './program';
import type { WrittenManifest } from './schema';
import type { ParameterSpec, TextSpec, Vocabulary } from './signature';

export interface Vocabularies {
  readonly input?: Vocabulary;
  readonly output?: Vocabulary;
}

export function normaliseGeneration(
  generation: NonNullable<WrittenManifest['generation']>,
  vocabulary: Vocabulary | undefined,
  report: Report,
): GenerationSpec {
  const id = (token: string | number, key: string): number => {
    if (typeof token === 'number') return token;
    const found = vocabulary?.ids.get(token);
    if (found === undefined) report(key, token, 'a token id, or a token of text.output.vocabulary');
    return found ?? 0;
  };
  return {
    start: id(generation.start, 'generation.start'),
    stop: generation.stop.map((token, index) => id(token, `generation.stop.${index}`)),
    maxTokens: generation.max_tokens,
    temperature: generation.sampling.temperature,
    topK: generation.sampling.top_k,
  };
}

export function normaliseText(
  { text: { input, output } }: WrittenManifest,
  vocabularies: Vocabularies,
  report: Report,
): TextSpec {
  return {
    input: input &&
      vocabularies.input && {
        vocabulary: vocabularies.input,
        split: input.split,
        case: input.case,
        append: input.append.map((token, index) => {
          const id = vocabularies.input?.ids.get(token);
          if (id === undefined)
            report(`text.input.append.${index}`, token, 'a token of text.input.vocabulary');
          return id ?? 0;
        }),
      },
    output: output && vocabularies.output && { vocabulary: vocabularies.output, join: output.join },
  };
}

export function normaliseParameters(
  written: Pick<WrittenManifest, 'parameters'>,
  generation: GenerationSpec | undefined,
  report: Report,
): ParameterSpec[] {
  const parameters = Object.entries(written.parameters).map(([name, parameter]): ParameterSpec => ({
    name,
    dtype: parameter.dtype,
    shape: parameter.shape,
    default: parameter.default,
    oneOf: parameter.one_of,
    minimum: parameter.minimum,
    maximum: parameter.maximum,
    description: parameter.description,
  }));
  if (generation === undefined) return parameters;
  const sampling = samplingParameters(generation);
  for (const { name } of sampling)
    if (name in written.parameters)
      report(
        `parameters.${name}`,
        name,
        'another name: every generator has this parameter already',
      );
  return [...parameters, ...sampling];
}

function samplingParameters(generation: GenerationSpec): ParameterSpec[] {
  const scalar = { shape: [], oneOf: undefined } as const;
  return [
    {
      ...scalar,
      name: 'seed',
      dtype: 'int64',
      default: 0,
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Where temperature is above 0: the same seed draws the same tokens.',
    },
    {
      ...scalar,
      name: 'temperature',
      dtype: 'float64',
      default: generation.temperature,
      minimum: 0,
      maximum: 100,
      description: '0 takes the most likely token; higher values draw more freely.',
    },
    {
      ...scalar,
      name: 'top_k',
      dtype: 'int32',
      default: generation.topK,
      minimum: 0,
      maximum: 2 ** 31 - 1,
      description: 'Draw among the k most likely tokens only; 0 for all.',
    },
    {
      ...scalar,
      name: 'max_tokens',
      dtype: 'int32',
      default: generation.maxTokens,
      minimum: 1,
      maximum: generation.maxTokens,
      description: 'The turn ends after this many tokens.',
    },
  ];
}
