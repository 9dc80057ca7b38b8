/** golden.json as it is written. */
import { z } from 'zod';
import { MAX_RANK } from '@cabstand/tensor';

/** One of base64, strings and npz says what its elements are. */
const tensor = z.strictObject({
  dtype: z.string().optional(),
  shape: z.array(z.int().min(0)).max(MAX_RANK).optional(),
  base64: z.string().optional(),
  encoding: z.literal('gzip').optional(),
  strings: z.array(z.string()).optional(),
  npz: z.string().min(1).optional(),
  key: z.string().optional(),
});
export type WrittenTensor = z.output<typeof tensor>;

const tensors = z.record(z.string(), tensor);

const turn = z.strictObject({
  prompt: z.string().nullable().default(null),
  parameters: z.record(z.string(), z.unknown()).default({}),
  inputs: tensors.default({}),
  records: z
    .array(z.strictObject({ outputs: tensors.default({}), text: z.string().default('') }))
    .min(1),
});
export type WrittenTurn = z.output<typeof turn>;

/** A sequence of a single turn may be written as that turn. */
export const sequenceSchemas = {
  turn,
  turns: z.strictObject({ turns: z.array(turn).min(1) }),
} as const;

export const goldenSchema = z.strictObject({
  made_by: z.string().default(''),
  reference: z.string().default(''),
  sequences: z.array(z.looseObject({})).min(1),
});
