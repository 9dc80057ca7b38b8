/** Turns of language models: a prompt, and the tokens that go on with it. */
import { invalid } from '@cabstand/core';
import type { NamesOf } from '@cabstand/core';
import { arrayOf, stringTensor, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { Chunk, TurnResult } from './chunk';
import { TRACE_NAMES } from './options';
import type { TurnOptions } from './options';

/** What somebody said in a conversation. */
interface ChatMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  /** May be absent where an assistant called tools. */
  readonly content?: string | null;
  /** What the model's chat template looks at besides: `tool_calls`, `name` … */
  readonly [more: string]: unknown;
}

export interface GenerateOptions extends Pick<TurnOptions, 'trace'> {
  /** Text, or ids of tokens: one at least. Give this or `messages`. */
  readonly prompt?: string | readonly number[];
  /**
   * A conversation, which the model's chat template makes a prompt of: one message at least. A model
   * without a template refuses it with INPUT_UNKNOWN.
   */
  readonly messages?: readonly ChatMessage[];
  /** With `messages`: functions that the model may call, as its chat template takes them. */
  readonly tools?: readonly object[];
  /** With `messages`: variables of the model's chat template, `enable_thinking` for example. */
  readonly template?: Readonly<Record<string, unknown>>;
  /** The answer ends after this many tokens. Default: where the model's context is full. */
  readonly maxTokens?: number;
  /** 0 takes the most likely token, higher values draw more freely. Default: the model's. */
  readonly temperature?: number;
  /** Draws among the k most likely tokens; 0 for all. Default: the model's. */
  readonly topK?: number;
  /** Draws among the most likely tokens that come to this probability together. Default: the model's. */
  readonly topP?: number;
  /** The same seed draws the same tokens. Default 0. */
  readonly seed?: number;
  /** Others, by their names in docs/language-models.md: `{ min_p: 0.1, stop: ['END'] }`. Default: none. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Cancels the turn. */
  readonly signal?: AbortSignal;
}

export const GENERATE_NAMES = {
  prompt: true,
  messages: true,
  tools: true,
  template: true,
  maxTokens: true,
  temperature: true,
  topK: true,
  topP: true,
  seed: true,
  parameters: true,
  signal: true,
  trace: TRACE_NAMES,
} satisfies NamesOf<GenerateOptions>;

export interface GeneratedToken {
  /** Number of the token in the answer: 0, 1, 2 … */
  readonly index: number;
  /** Number of its record in the session. */
  readonly position: number;
  readonly token: number;
  /** Text that is whole with this token: none for half a character, or a model without a tokenizer. */
  readonly text: string;
}

/**
 * The input of a turn.
 *
 * @param nowMs since 1970: wherever the turn goes on, templates are told the date of its beginning
 * @throws CabstandError INVALID_ARGUMENT for both of prompt and messages, or neither.
 */
export function generateInput(
  options: GenerateOptions,
  nowMs: number,
): {
  readonly prompt: string | undefined;
  readonly tensors: readonly Tensor[] | undefined;
} {
  const { prompt, messages, tools, template } = options;
  if ((prompt === undefined) === (messages === undefined))
    throw invalid(
      'INVALID_ARGUMENT',
      'generate options',
      prompt === undefined ? 'neither prompt nor messages' : 'prompt and messages',
      'one of the two',
    );
  if (messages === undefined && (tools !== undefined || template !== undefined))
    throw invalid('INVALID_ARGUMENT', 'tools and template', 'a prompt', 'messages beside them');
  if (messages !== undefined)
    return {
      prompt: undefined,
      tensors: [messagesTensor({ messages, tools, template, now: Math.floor(nowMs / 1000) })],
    };
  return typeof prompt === 'string'
    ? { prompt, tensors: undefined }
    : { prompt: undefined, tensors: promptTensors(prompt ?? []) };
}

function messagesTensor(conversation: object): Tensor {
  return stringTensor('messages', [JSON.stringify(conversation)], [1]);
}

export function promptTensors(ids: readonly number[]): readonly Tensor[] {
  const odd = ids.find((id) => !Number.isSafeInteger(id));
  if (odd !== undefined) throw invalid('INVALID_ARGUMENT', 'prompt', odd, 'ids of tokens');
  return [tensorOf('input_ids', BigInt64Array.from(ids, BigInt), [ids.length])];
}

/** Only what was given: the model has its own defaults. */
export function generateParameters(options: GenerateOptions): Record<string, unknown> {
  const { maxTokens, temperature, topK, topP, seed } = options;
  const given = { max_tokens: maxTokens, temperature, top_k: topK, top_p: topP, seed };
  const parameters: Record<string, unknown> = { ...options.parameters };
  for (const [name, value] of Object.entries(given))
    if (value !== undefined) parameters[name] = value;
  return parameters;
}

export async function* tokens(
  chunks: AsyncIterableIterator<Chunk, TurnResult, undefined>,
): AsyncGenerator<GeneratedToken, TurnResult, undefined> {
  try {
    for (;;) {
      const next = await chunks.next();
      if (next.done === true) return next.value;
      const { index, position, text } = next.value;
      const [token = 0] = Array.from(arrayOf(next.value.tensor('token')), Number);
      yield { index, position, token, text };
    }
  } finally {
    // Left early: the turn is cancelled. After its end this does nothing.
    await chunks.return?.();
  }
}
