/** What callers send, checked. What only a hoster can check, it does. */
import { CabstandError, invalid, show } from '@cabstand/core';
import { DTYPES, MAX_RANK, isDType } from '@cabstand/tensor';
import { z } from 'zod';
import { HIGHEST_PRIORITY, SESSION_ID } from '../handlers/parse';
import { tensorsSchema } from './tensors';

const sessionId = z.string().regex(SESSION_ID, 'expected 1 to 64 of A-Z a-z 0-9 . _ -');
const elements = z.enum(['list', 'base64']).default('list');
const parameters = z.record(z.string(), z.unknown()).default({});

const turn = {
  prompt: z.string().default(''),
  tensors: tensorsSchema.default({}),
  parameters,
  /** How tensors of the answer are written. */
  elements,
};

const opening = {
  model: z.string().min(1).max(256),
  session_id: sessionId.optional(),
  priority: z.int().min(0).max(HIGHEST_PRIORITY).default(0),
};

export const sessionSchema = z.strictObject({
  ...opening,
  ...turn,
  durable: z.boolean().default(false),
});

export const turnSchema = z.strictObject({
  ...turn,
  /** Its number in the session: a call that is repeated with it does not begin another turn. */
  turn: z.int().min(0).optional(),
  /** What the end of the turn before told. */
  checkpoint: z
    .strictObject({
      model: z.string().min(1).max(256),
      position: z.int().min(0),
      base64: z.base64(),
    })
    .optional(),
});

export const commandSchema = z.strictObject({
  name: z.string().min(1).max(256),
  arguments: z.unknown().optional(),
});

/** The first message of a live session. */
export const openSchema = z.strictObject({
  type: z.literal('open'),
  ...opening,
  token: z.string().min(1).max(8192).optional(),
  prompt: z.string().default(''),
  parameters,
  elements,
  /** What binary messages hold. */
  input: z
    .strictObject({
      name: z.string().min(1).max(256),
      dtype: z.string().refine((dtype) => isDType(dtype) && dtype !== 'string', {
        message: `expected one of ${Object.keys(DTYPES)
          .filter((dtype) => dtype !== 'string')
          .join(', ')}`,
      }),
      shape: z
        .array(z.int().min(-1))
        .max(MAX_RANK)
        .refine((shape) => shape.filter((size) => size === -1).length <= 1, {
          message: 'expected at most one -1',
        })
        .default([-1]),
    })
    .optional(),
});

/** Those that follow. */
export const liveSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('input'), tensors: tensorsSchema }),
  z.strictObject({ type: z.literal('end_input') }),
  z.strictObject({ type: z.literal('cancel_turn') }),
  z.strictObject({
    ...{ type: z.literal('command'), ...commandSchema.shape },
    /** Given back with the answer. */
    id: z.union([z.string().max(256), z.number()]).optional(),
  }),
]);

/** Throws INVALID_ARGUMENT that names all that is wrong. */
export function parseAs<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const problems = issues.slice(0, MOST_TOLD).map(({ path, message }) => {
    const field = [what, ...path.map(String)].join('.');
    return `${field}: ${message}, got ${show(at(value, path))}`;
  });
  const [first] = issues;
  throw new CabstandError('INVALID_ARGUMENT', problems.join('; '), {
    metadata: {
      field: [what, ...(first?.path ?? []).map(String)].join('.'),
      expected: first?.message ?? '',
    },
  });
}

const MOST_TOLD = 20;

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null
        ? (inner as Record<PropertyKey, unknown>)[key]
        : undefined,
    value,
  );
}

/** The position after the last one that a reader has. Undefined where it has none. */
export function parseLastEventId(given: string | string[] | undefined): number | undefined {
  if (given === undefined || given === '') return undefined;
  if (typeof given === 'string' && /^\d{1,15}$/.test(given)) return Number(given) + 1;
  throw invalid('INVALID_ARGUMENT', 'Last-Event-ID', given, 'the position of a record');
}
