/** What callers may ask of a language model: how the next token is chosen, and when an answer ends. */
import type { ParameterSpec } from '../manifest/signature';
import type { LanguageModelConfig } from './config';

/** Bounds of what one turn may ask for. */
const ASKED = {
  stops: 16,
  stopCharacters: 256,
  stopTokens: 64,
  biases: 1024,
  logprobs: 20,
  choices: 256,
  choiceCharacters: 1024,
  grammarCharacters: 32_768,
} as const;

type Facts = Pick<LanguageModelConfig, 'sampling' | 'vocabularySize' | 'endTokens'> & {
  readonly contextLength: number;
  /** There is a tokenizer. */
  readonly text: boolean;
  /** Grammars are followed. */
  readonly guided: boolean;
};

/** In the order in which they are told. */
export function languageModelParameters(facts: Facts): ParameterSpec[] {
  return [...samplingOf(facts), ...penaltiesOf(facts), ...endsOf(facts), ...guidesOf(facts)];
}

type Bounds = readonly [minimum: number, maximum: number];
const SCALAR = { shape: [], oneOf: undefined } as const;

function float(name: string, usual: number, [minimum, maximum]: Bounds, description: string) {
  return {
    ...SCALAR,
    name,
    dtype: 'float64',
    default: usual,
    minimum,
    maximum,
    description,
  } as const;
}

function whole(name: string, usual: number, [minimum, maximum]: Bounds, description: string) {
  return {
    ...SCALAR,
    name,
    dtype: 'int32',
    default: usual,
    minimum,
    maximum,
    description,
  } as const;
}

function flag(name: string, description: string) {
  const unbounded = { minimum: undefined, maximum: undefined };
  return { ...SCALAR, ...unbounded, name, dtype: 'bool', default: false, description } as const;
}

function text(
  name: string,
  form: NonNullable<ParameterSpec['form']>,
  description: string,
): ParameterSpec {
  const usual = form.kind === 'list' ? [] : '';
  const unbounded = { minimum: undefined, maximum: undefined };
  return { ...SCALAR, ...unbounded, name, dtype: 'string', form, default: usual, description };
}

function samplingOf({ sampling }: Facts): ParameterSpec[] {
  const most = 2 ** 31 - 1;
  return [
    {
      ...float('seed', 0, [0, Number.MAX_SAFE_INTEGER], ''),
      dtype: 'int64',
      description: 'Where temperature is above 0: the same seed draws the same tokens.',
    },
    float(
      'temperature',
      sampling.temperature,
      [0, 100],
      '0 takes the most likely token; higher values draw more freely.',
    ),
    whole(
      'top_k',
      sampling.topK,
      [0, most],
      'Draw among the k most likely tokens only; 0 for all.',
    ),
    float(
      'top_p',
      sampling.topP,
      [0, 1],
      'Draw among the most likely tokens that come to this probability together only; 1 for all.',
    ),
    float(
      'min_p',
      sampling.minP,
      [0, 1],
      'Draw among tokens that are at least this times as likely as the most likely one; 0 for all.',
    ),
    float(
      'typical_p',
      sampling.typicalP,
      [0, 1],
      'Draw among the tokens whose information is nearest to the expected one, that come to this probability together; 1 for all.',
    ),
  ];
}

function penaltiesOf({ sampling, vocabularySize, contextLength }: Facts): ParameterSpec[] {
  return [
    {
      ...float('logit_bias', 0, [-100, 100], 'Added to the scores of these tokens.'),
      form: { kind: 'by-token', most: ASKED.biases, tokens: vocabularySize },
      default: {},
    },
    float(
      'repetition_penalty',
      sampling.repetitionPenalty,
      [0.01, 100],
      'Scores of tokens of prompt and answer are divided by it, or multiplied where they are below 0; 1 for none.',
    ),
    float(
      'frequency_penalty',
      0,
      [-2, 2],
      'Times how often a token is in the answer, it is taken from its score.',
    ),
    float('presence_penalty', 0, [-2, 2], 'Taken from the scores of tokens of the answer.'),
    whole(
      'no_repeat_ngram_size',
      sampling.noRepeatNgramSize,
      [0, contextLength],
      'No run of so many tokens comes twice in prompt and answer; 0: any may.',
    ),
  ];
}

function endsOf({ sampling, vocabularySize, contextLength, text: speaks }: Facts): ParameterSpec[] {
  const most = contextLength - 1;
  return [
    whole(
      'max_tokens',
      0,
      [0, most],
      `The answer ends after this many tokens; 0: when prompt and answer have ${contextLength}.`,
    ),
    whole(
      'min_tokens',
      Math.min(sampling.minTokens, most),
      [0, most],
      'No end before this many tokens.',
    ),
    {
      ...whole(
        'stop_token_ids',
        0,
        [0, vocabularySize - 1],
        'Each of these tokens ends the answer, too.',
      ),
      form: { kind: 'list', most: ASKED.stopTokens },
      default: [],
    },
    flag('ignore_eos', 'The tokens that end answers of this model do not end this one.'),
    ...(speaks
      ? [
          text(
            'stop',
            { kind: 'list', most: ASKED.stops, longest: ASKED.stopCharacters },
            'The answer ends where its text has come to one of these.',
          ),
          flag(
            'include_stop_str_in_output',
            'The text has what stopped it, of `stop` or `stop_token_ids`, at its end.',
          ),
        ]
      : []),
    whole(
      'logprobs',
      -1,
      [-1, Math.min(ASKED.logprobs, vocabularySize)],
      'Records tell the log probability of their token, and those of so many most likely ones; -1: neither.',
    ),
  ];
}

/** Without a token that ends it, no guided answer would ever be over. */
function guidesOf({ text: speaks, guided, endTokens }: Facts): ParameterSpec[] {
  if (!speaks || !guided || endTokens.length === 0) return [];
  const form = { kind: 'text', longest: ASKED.grammarCharacters } as const;
  const list = { kind: 'list', most: ASKED.choices, longest: ASKED.choiceCharacters } as const;
  return [
    text('json_schema', { ...form, kind: 'schema' }, 'The text is JSON of this schema.'),
    text('regex', form, 'The text is of this regular expression.'),
    text('choice', list, 'The text is one of these.'),
    text(
      'grammar',
      form,
      'The text is of this grammar in EBNF, as GBNF writes it; it has the rule `root`.',
    ),
  ];
}
