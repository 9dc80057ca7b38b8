/** Calls of before, as a conversation tells them to its model. */
import { invalid } from '@cabstand/core';
import { z } from 'zod';

const callsSchema = z.array(
  z.looseObject({
    id: z.string().optional(),
    type: z.literal('function').default('function'),
    function: z.looseObject({
      name: z.string(),
      arguments: z.union([z.string(), z.record(z.string(), z.unknown())]).default('{}'),
    }),
  }),
);

/**
 * Calls of a message as templates take them: with their arguments as an object, for templates write them as JSON.
 * OpenAI has them as text; text that holds no object stays.
 *
 * @throws CabstandError INVALID_ARGUMENT that names the field.
 */
export function toldCalls(given: unknown, field: string): object[] {
  const { data, error } = callsSchema.safeParse(given);
  if (data === undefined) {
    const path = error.issues[0]?.path.map(String).join('.') ?? '';
    throw invalid(
      ...(['INVALID_ARGUMENT', path === '' ? field : `${field}.${path}`, given] as const),
      '[{"id", "type": "function", "function": {"name", "arguments"}}]',
    );
  }
  return data.map((call) => ({
    ...call,
    function: { ...call.function, arguments: objectIn(call.function.arguments) },
  }));
}

function objectIn(given: string | object): unknown {
  if (typeof given !== 'string') return given;
  try {
    const value: unknown = JSON.parse(given);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : given;
  } catch {
    return given;
  }
}
