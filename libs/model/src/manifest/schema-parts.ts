/** Parts that the schemas of manifests share. */
import { z } from 'zod';

const providers = ['cuda', 'tensorrt', 'webgpu', 'cpu'] as const;
// prettier-ignore
export const dtypes = [
  'float32', 'float64', 'float16', 'int8', 'int16', 'int32', 'int64',
  'uint8', 'uint16', 'uint32', 'uint64', 'bool', 'string',
] as const;

export const name = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/,
    'a name: a letter, then letters, digits, _ . - (64 at most)',
  );
export const whole = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
export const positive = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);
export const bytes = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
export const fileName = z
  .string()
  .min(1)
  .refine((path) => !path.startsWith('/') && !path.split(/[\\/]/).includes('..'), {
    error: 'a file inside the folder',
  });

/** Beyond 2^53 a number loses its last digits. */
const wideInteger = z.string().regex(/^-?[0-9]{1,20}$/, 'a whole number, as text');

const parameter = z.strictObject({
  dtype: z.enum(dtypes).exclude(['string']),
  shape: z.array(positive).max(8).default([]),
  default: z.union(
    [
      z.number(),
      z.boolean(),
      wideInteger,
      z.array(z.union([z.number(), wideInteger], 'a number')).min(1),
    ],
    'a number, true or false, or a list of numbers',
  ),
  one_of: z.array(z.number()).min(1).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  description: z.string().default(''),
});

const media = z.strictObject({
  audio: z.strictObject({ sample_rate: positive }).optional(),
  text: z.strictObject({}).optional(),
  image: z
    .strictObject({
      width: positive,
      height: positive,
      channels: z.enum(['rgb', 'bgr']),
      layout: z.enum(['nchw', 'nhwc']),
      mean: z.array(z.number()).min(1).max(4),
      std: z.array(z.number()).min(1).max(4),
      fit: z.enum(['stretch', 'pad']).default('stretch'),
    })
    .optional(),
});

export const shape = z
  .array(z.union([whole, name], 'a size, or the name of a free dimension'))
  .max(8);

export const input = z.strictObject({
  dtype: z.enum(dtypes).optional(),
  shape: shape.optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  allow_nan: z.boolean().default(false),
  description: z.string().default(''),
  media: media.optional(),
});

const modelName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'a name of [a-z0-9][a-z0-9._-]{0,63}');

/** What every manifest has. */
export const common = {
  name: modelName.optional(),
  description: z.string().default(''),
  provenance: z
    .strictObject({
      source: z.string().optional(),
      version: z.string().optional(),
      digest: z.string().optional(),
      licence: z.string().optional(),
      script: z.string().optional(),
    })
    .default({}),
  providers: z.array(z.enum(providers)).min(1).default(['cpu']),
  parameters: z.record(name, parameter).default({}),
  variants: z.record(modelName, z.looseObject({})).default({}),
};
