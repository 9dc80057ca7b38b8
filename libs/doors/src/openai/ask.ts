/** What callers ask in the words of OpenAI, checked. What only the model can check, it does. */
import { CabstandError, invalid, show } from '@cabstand/core';
import { stringTensor, tensorOf } from '@cabstand/tensor';
import { z } from 'zod';
import type { TurnInput } from '../serving';
import { turnParameters } from './parameters';
import { offerOf, toolChoiceSchema, toolsSchema } from './tools/offer';
import type { ToolOffer } from './tools/offer';
import { toldCalls } from './tools/told-calls';

export interface CompletionAsk {
  readonly kind: 'chat' | 'text';
  readonly model: string;
  /** `n` answers to each. */
  readonly prompts: readonly Pick<TurnInput, 'prompt' | 'tensors'>[];
  readonly n: number;
  readonly stream: boolean;
  /** The last chunk of a stream says how many tokens there were. */
  readonly includeUsage: boolean;
  /** Functions that answers may call; undefined for none. */
  readonly tools: ToolOffer | undefined;
  /** Of the turn, by the names that models have for them. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Answers to one request, each in a session of its own. */
const MOST_CHOICES = 32;

const ids = z.array(z.int().min(0)).min(1);
const common = {
  model: z.string().min(1).max(256),
  n: z.int().min(1).max(MOST_CHOICES).default(1),
  stream: z.boolean().default(false),
  stream_options: z.looseObject({ include_usage: z.boolean().default(false) }).optional(),
};

const textSchema = z.looseObject({
  ...common,
  prompt: z.union([z.string().min(1), ids, z.array(z.string().min(1)).min(1), z.array(ids).min(1)]),
  echo: z.literal(false).optional(),
  suffix: z.literal('').optional(),
  best_of: z.int().optional(),
});

const chatSchema = z.looseObject({
  ...common,
  messages: z.array(z.looseObject({ role: z.string() })).min(1),
  tools: toolsSchema.optional(),
  tool_choice: toolChoiceSchema.optional(),
  modalities: z.tuple([z.literal('text')]).optional(),
  /** Variables of the model's chat template, as other servers of open models take them. */
  chat_template_kwargs: z.record(z.string(), z.unknown()).optional(),
});

/** @throws CabstandError INVALID_ARGUMENT or PARAMETER_INVALID that names the field. */
export function parseCompletion(body: unknown): CompletionAsk {
  const { prompt, echo: _, suffix: __, best_of: best, ...asked } = parse(textSchema, body);
  if (best !== undefined && best !== asked.n)
    throw invalid('INVALID_ARGUMENT', 'best_of', best, `${asked.n}, as n: all answers are given`);
  const given = typeof prompt === 'string' ? [prompt] : prompt;
  const prompts = isIds(given) ? [given] : (given as readonly (string | readonly number[])[]);
  if (prompts.length * asked.n > MOST_CHOICES)
    throw invalid(
      'INVALID_ARGUMENT',
      'prompt',
      `${prompts.length} prompts, n ${asked.n}`,
      `at most ${MOST_CHOICES} answers to one request`,
    );
  return {
    kind: 'text',
    tools: undefined,
    prompts: prompts.map((one) =>
      typeof one === 'string'
        ? { prompt: one, tensors: [] }
        : {
            prompt: '',
            tensors: [tensorOf('input_ids', BigInt64Array.from(one, BigInt), [one.length])],
          },
    ),
    ...rest(asked),
  };
}

/**
 * @param now what the model's chat template takes for the present, in seconds since 1970
 * @throws CabstandError INVALID_ARGUMENT or PARAMETER_INVALID that names the field.
 */
export function parseChat(body: unknown, now: number): CompletionAsk {
  const {
    messages,
    tools = [],
    tool_choice: choice,
    modalities: _,
    chat_template_kwargs: template,
    ...asked
  } = parse(chatSchema, body);
  const offer = offerOf(tools, choice);
  const offered = offer && tools;
  const conversation = { messages: messages.map(said), tools: offered, template, now };
  return {
    kind: 'chat',
    tools: offer,
    prompts: [
      {
        prompt: '',
        tensors: [stringTensor('messages', [jsonText('messages', conversation)], [1])],
      },
    ],
    ...rest(asked),
  };
}

/** Clients send what an answer lacked as null. */
function said(message: Readonly<Record<string, unknown>>, at: number): object {
  const given = Object.entries(message).filter(
    ([name, value]) => name === 'content' || value !== null,
  );
  return Object.fromEntries(
    given.map(([name, value]) => [
      name,
      name === 'tool_calls' ? toldCalls(value, `messages[${at}].tool_calls`) : value,
    ]),
  );
}

function rest({
  model,
  n,
  stream,
  stream_options: options,
  ...more
}: z.output<z.ZodObject<typeof common, z.core.$loose>>) {
  return {
    ...{ model, n, stream, includeUsage: options?.include_usage === true },
    parameters: turnParameters(more),
  };
}

function isIds(given: readonly unknown[]): given is readonly number[] {
  return typeof given[0] === 'number';
}

/** @throws CabstandError INVALID_ARGUMENT for what nests too deep to be written. */
function jsonText(field: string, value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    const expected = 'fewer lists and objects in one another';
    throw new CabstandError('INVALID_ARGUMENT', `${field}: nests too deep`, {
      metadata: { field, expected },
      cause,
    });
  }
}

/** @throws CabstandError INVALID_ARGUMENT that names the field. */
export function parse<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  // To say nothing is as good as null there.
  const given =
    typeof body === 'object' && body !== null && !Array.isArray(body)
      ? Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
      : body;
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path ?? [];
  const field = path.map(String).join('.') || 'body';
  const value = path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined,
    given,
  );
  const expected = issue?.message ?? 'a JSON object';
  throw new CabstandError('INVALID_ARGUMENT', `${field}: got ${show(value)}: ${expected}`, {
    metadata: { field, expected },
  });
}
