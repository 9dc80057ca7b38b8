/** What a caller writes into the input `messages`: a conversation as JSON, checked. */
import { CabstandError, MOST_JSON_DEPTH, invalid, nestsDeeper } from '@cabstand/core';
import { z } from 'zod';

interface Message {
  readonly role: (typeof ROLES)[number];
  readonly content: string | null;
  /** What templates of some models look at besides: tool_calls, tool_call_id, name, reasoning_content … */
  readonly [more: string]: unknown;
}

export interface Conversation {
  readonly messages: readonly Message[];
  /** Functions that the model may call, each with its JSON schema. */
  readonly tools: readonly unknown[] | undefined;
  /** Variables of the template, as its author named them: enable_thinking and the like. */
  readonly template: Readonly<Record<string, unknown>>;
  /** What templates take for the present, in seconds since 1970: wherever a turn goes on, it is the same. */
  readonly now: number | undefined;
}

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

const part = z.strictObject({ type: z.literal('text'), text: z.string() });
const message = z.looseObject({
  role: z.enum(ROLES),
  content: z.union([z.string(), z.null(), z.array(part)]).optional(),
});
const messages = z.array(message).min(1);
const conversation = z.strictObject({
  messages,
  tools: z.array(z.looseObject({})).min(1).optional(),
  template: z.record(z.string().regex(/^[A-Za-z_]\w*$/), z.unknown()).default({}),
  // Beyond it JavaScript has no dates.
  now: z.number().min(0).max(8.64e12).optional(),
});

/** @throws CabstandError INVALID_ARGUMENT that names the first field which is wrong. */
export function parseConversation(json: string): Conversation {
  if (nestsDeeper(json))
    throw invalid(
      'INVALID_ARGUMENT',
      'messages',
      'JSON that nests deeper',
      `${MOST_JSON_DEPTH} levels`,
    );
  const written = parsed(json);
  const result = conversation.safeParse(Array.isArray(written) ? { messages: written } : written);
  if (!result.success) throw refused(written, result.error);
  const { data } = result;
  return {
    messages: data.messages.map((one, at) => ({ ...one, content: textOf(one, at) })),
    tools: data.tools,
    template: data.template,
    now: data.now,
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (cause) {
    const expected = 'JSON: [{"role", "content"}, …]';
    throw new CabstandError('INVALID_ARGUMENT', `messages: got no JSON, expected ${expected}`, {
      metadata: { field: 'messages', expected },
      cause,
    });
  }
}

/** Texts of several parts are lines of one. */
function textOf(
  { role, content, tool_calls: calls }: z.output<typeof message>,
  at: number,
): string | null {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) return content.map(({ text }) => text).join('\n');
  if (role === 'assistant' && calls !== undefined) return null;
  throw invalid('INVALID_ARGUMENT', `messages[${at}].content`, content, 'text');
}

function refused(written: unknown, { issues }: z.ZodError): CabstandError {
  const [issue] = issues;
  const path = [...(issue?.path ?? [])];
  // A list stands for an object that has it as `messages`.
  const value = path
    .slice(Array.isArray(written) ? 1 : 0)
    .reduce<unknown>(
      (inner, key) =>
        typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined,
      written,
    );
  return invalid('INVALID_ARGUMENT', fieldOf(path), value, issue?.message ?? 'a conversation');
}

/** `messages[2].role`: beside messages all fields are named from there, too. */
function fieldOf([first, ...rest]: readonly PropertyKey[]): string {
  const root =
    first === undefined || first === 'messages' ? 'messages' : `messages.${String(first)}`;
  return rest.reduce<string>(
    (field, key) => (typeof key === 'number' ? `${field}[${key}]` : `${field}.${String(key)}`),
    root,
  );
}
