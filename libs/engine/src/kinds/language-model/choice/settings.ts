/** What a turn asks for, in the words of those who choose its tokens. */
import { throwParameterProblems } from '@cabstand/model';
import type { LanguageModelProgram, Parameters } from '@cabstand/model';
import { invalid } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import type { Sampling } from '../../../output/sampling';
import type { GuideSource } from '../guide/source';

export interface ChoiceSettings {
  readonly sampling: Sampling;
  readonly penalties: Penalties;
  /** Most tokens of the answer; at least 1. */
  readonly maxTokens: number;
  /** The caller said how many at most. */
  readonly isBounded: boolean;
  /** No end comes before so many tokens. */
  readonly minTokens: number;
  /** Each of them ends the answer: those of the model, unless they are ignored, and those of the caller. */
  readonly endTokens: ReadonlySet<number>;
  /** Those of the caller, whose text may be asked for. */
  readonly stopTokens: ReadonlySet<number>;
  readonly stops: readonly string[];
  /** The text has what stopped it at its end. */
  readonly includeStop: boolean;
  /** How many most likely tokens are told with their log probabilities; undefined: no log probabilities. */
  readonly logprobs: number | undefined;
}

/** What becomes of scores before one is chosen. */
interface Penalties {
  /** Id and what is added to its score. */
  readonly biases: readonly (readonly [id: number, bias: number])[];
  readonly repetition: number;
  readonly frequency: number;
  readonly presence: number;
  /** 0: any run of tokens may come again. */
  readonly noRepeatNgram: number;
  readonly suppressed: Suppressed;
}

/** Ids of tokens that the model's files keep out of answers. */
export interface Suppressed {
  readonly always: readonly number[];
  /** Only as the first token. */
  readonly first: readonly number[];
}

const NOTHING: Suppressed = { always: [], first: [] };

/**
 * @param room tokens that the context holds beside the prompt
 * @throws CabstandError LIMIT_EXCEEDED where there is no room for `max_tokens`
 */
export function choiceSettings(
  parameters: Parameters,
  program: LanguageModelProgram,
  room: number,
  suppressed = NOTHING,
): ChoiceSettings {
  const number = (name: string, usual = 0): number => Number(parameters[name] ?? usual);
  const list = (name: string): readonly unknown[] => {
    const value = parameters[name] ?? [];
    return Array.isArray(value) ? value : [value];
  };
  const asked = number('max_tokens');
  if (asked > room)
    throw invalid(
      'LIMIT_EXCEEDED',
      'parameter max_tokens',
      asked,
      `at most ${room}: the context of ${program.contextLength} tokens holds ${program.contextLength - room} of the prompt`,
    );
  const maxTokens = asked === 0 ? room : asked;
  const ignored = parameters['ignore_eos'] === true;
  const stopTokens = list('stop_token_ids').map(Number);
  const logprobs = number('logprobs', -1);
  // What generation_config.json asks for by itself refuses no turn.
  const minTokens = Math.min(number('min_tokens'), maxTokens);
  return {
    sampling: {
      temperature: number('temperature'),
      topK: number('top_k'),
      topP: number('top_p', 1),
      minP: number('min_p'),
      typicalP: number('typical_p', 1),
      seed: number('seed'),
    },
    penalties: {
      biases: Object.entries(parameters['logit_bias'] ?? {}).map(
        ([id, bias]) => [Number(id), Number(bias)] as const,
      ),
      repetition: number('repetition_penalty', 1),
      frequency: number('frequency_penalty'),
      presence: number('presence_penalty'),
      noRepeatNgram: number('no_repeat_ngram_size'),
      suppressed,
    },
    maxTokens,
    isBounded: asked > 0,
    minTokens,
    endTokens: new Set([...(ignored ? [] : program.endTokens), ...stopTokens]),
    stopTokens: new Set(stopTokens),
    stops: list('stop').map(String),
    includeStop: parameters['include_stop_str_in_output'] === true,
    logprobs: logprobs < 0 ? undefined : logprobs,
  };
}

/**
 * What the text must be of; undefined: anything.
 *
 * @throws CabstandError PARAMETER_INVALID for what does not go together.
 */
export function guideOf(parameters: Parameters): GuideSource | undefined {
  const [first, second] = guidesIn(parameters);
  const problems: CabstandError[] = [];
  if (second !== undefined)
    problems.push(
      invalid(
        'PARAMETER_INVALID',
        `parameter ${second.kind}`,
        second.text,
        `only one of json_schema, regex, choice and grammar: there is ${first?.kind}`,
      ),
    );
  if (first !== undefined && parameters['ignore_eos'] === true)
    problems.push(
      invalid(
        'PARAMETER_INVALID',
        'parameter ignore_eos',
        true,
        `false beside ${first.kind}: a token that ends answers says that the text is complete`,
      ),
    );
  throwParameterProblems(problems);
  return first;
}

function guidesIn(parameters: Parameters): GuideSource[] {
  const found: GuideSource[] = [];
  for (const kind of ['json_schema', 'regex', 'grammar'] as const) {
    const text = parameters[kind];
    if (typeof text === 'string' && text !== '') found.push({ kind, text });
  }
  const choices = parameters['choice'];
  if (Array.isArray(choices) && choices.length > 0)
    found.push({ kind: 'choice', text: JSON.stringify(choices) });
  return found;
}
