/** The answers to one request: turns in sessions of their own, which go on when their hosters die. */
import { randomInt } from 'node:crypto';
import { CabstandError, invalid } from '@cabstand/core';
import { arrayOf, float32Of } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { Caller, GenerationFacts, ModelFacts, Serving, TurnAsk, TurnInput } from '../serving';
import type { CompletionAsk } from './ask';
import { parametersFor } from './parameters';
import { callSchema } from './tools/forced';

/** A token as it comes. */
export interface Piece {
  /** What is whole of its text. */
  readonly text: string;
  readonly logprobs: PieceLogprobs | undefined;
}

export interface PieceLogprobs {
  readonly chosen: number;
  /** The most likely tokens, the likeliest first. */
  readonly top: readonly { readonly token: number; readonly logprob: number }[];
}

/** How an answer ended. */
export interface Finish {
  readonly reason: 'stop' | 'length' | 'tool_calls';
  readonly answerTokens: number;
  /** Undefined where the model does not tell it. */
  readonly promptTokens: number | undefined;
}

const MOST_SEED = 2 ** 48 - 1;

/**
 * What is asked of the model for each answer.
 *
 * @throws CabstandError INVALID_ARGUMENT or PARAMETER_INVALID for what the model cannot do.
 */
export function turnsOf(ask: CompletionAsk, model: ModelFacts, caller: Caller): TurnAsk[] {
  if (model.kind !== 'language-model')
    throw invalid('INVALID_ARGUMENT', 'model', model.name, 'a language model');
  if (ask.kind === 'chat' && !model.inputs.some(({ name }) => name === 'messages'))
    throw invalid(
      ...(['INVALID_ARGUMENT', 'model', model.name] as const),
      'a model with a chat template; without one there are /v1/completions',
    );
  const parameters = { ...parametersFor(model, ask.parameters), ...forced(ask, model) };
  const seeds = model.parameters.some(({ name }) => name === 'seed');
  const drawn = typeof parameters['seed'] === 'number' ? parameters['seed'] : randomInt(MOST_SEED);
  const inputs = ask.prompts.flatMap((prompt) =>
    Array.from({ length: ask.n }, (_, at): TurnInput => {
      // Several answers to one prompt are drawn each for itself.
      const seed = at === 0 && 'seed' in parameters ? parameters['seed'] : drawn + at;
      return { ...prompt, parameters: seeds ? { ...parameters, seed } : parameters };
    }),
  );
  return inputs.map((input) => ({ caller, model: model.name, input }));
}

/** A call that is asked for comes of the form of answers. */
function forced({ tools, parameters }: CompletionAsk, model: ModelFacts): object {
  if (tools === undefined || tools.choice === 'auto') return {};
  const names = tools.choice.map(({ name }) => name).join(', ');
  if ('json_schema' in parameters)
    throw invalid('INVALID_ARGUMENT', 'tool_choice', names, 'auto or none beside response_format');
  if (!model.parameters.some(({ name }) => name === 'json_schema'))
    throw invalid(
      ...(['PARAMETER_INVALID', 'tool_choice', names] as const),
      `auto or none: without a parameter json_schema model ${model.name} cannot be made to call`,
    );
  return { json_schema: callSchema(tools.choice, model.toolCalls) };
}

/**
 * One answer, as fast as it is taken.
 *
 * @throws CabstandError with what its turn ended with, where that is no answer.
 */
export async function* choice(
  serving: Serving,
  ask: TurnAsk,
  signal: AbortSignal,
): AsyncGenerator<Piece, Finish, undefined> {
  let answerTokens = 0;
  let last = '';
  for await (const record of serving.runTurn(ask, signal)) {
    if (record.kind === 'chunk') {
      answerTokens += 1;
      last = record.text;
      yield { text: record.text, logprobs: logprobsOf(record.tensors) };
    }
    if (record.kind !== 'end') continue;
    const { reason, error, generation } = record;
    if (error !== undefined) throw error;
    if (reason !== 'completed' && reason !== 'stopped')
      throw new CabstandError('CANCELLED', `the answer was ${reason.replace('_', ' ')}`);
    return {
      reason: generation?.finish ?? finishOf(ask.input, answerTokens, last),
      answerTokens: generation?.answer ?? answerTokens,
      promptTokens: promptTokensOf(ask.input, generation),
    };
  }
  throw new CabstandError('INTERNAL', 'the answer has no end');
}

/** Where the model does not tell it: the token that ends an answer has no text. */
function finishOf({ parameters }: TurnInput, tokens: number, last: string): Finish['reason'] {
  return parameters['max_tokens'] === tokens && last !== '' ? 'length' : 'stop';
}

function promptTokensOf(
  { tensors }: TurnInput,
  generation: GenerationFacts | undefined,
): number | undefined {
  if (generation !== undefined) return generation.prompt;
  return tensors.find(({ name }) => name === 'input_ids')?.shape[0];
}

function logprobsOf(tensors: readonly Tensor[]): PieceLogprobs | undefined {
  const named = (name: string): Tensor | undefined =>
    tensors.find((tensor) => tensor.name === name);
  const chosen = named('logprob');
  if (chosen === undefined) return undefined;
  const [ids, values] = [named('top_tokens'), named('top_logprobs')];
  const logprobs = values === undefined ? [] : float32Of(values);
  const tokens = ids === undefined ? [] : Array.from(arrayOf(ids), Number);
  return {
    chosen: float32Of(chosen)[0] ?? NaN,
    top: tokens.map((token, at) => ({ token, logprob: logprobs[at] ?? NaN })),
  };
}
