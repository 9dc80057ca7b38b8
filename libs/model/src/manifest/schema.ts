/** model.yaml as it is written; what it means and how it hangs together is checked in load.ts. */
import { z } from 'zod';
import type { DType } from '@cabstand/tensor';
import type { Dimension } from './signature';

const providers = ['cuda', 'tensorrt', 'webgpu', 'cpu'] as const;
// prettier-ignore
const dtypes = [
  'float32', 'float64', 'float16', 'int8', 'int16', 'int32', 'int64',
  'uint8', 'uint16', 'uint32', 'uint64', 'bool', 'string',
] as const;

const name = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/,
    'a name: a letter, then letters, digits, _ . - (64 at most)',
  );
const whole = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
const positive = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);
const bytes = z.int().min(1).max(Number.MAX_SAFE_INTEGER);
const axis = z.int().min(0).max(7);
const batchAxis = axis.nullable();
const batched = { batch_axis: batchAxis.default(null) };
const fileName = z
  .string()
  .min(1)
  .refine((path) => !path.startsWith('/') && !path.split(/[\\/]/).includes('..'), {
    error: 'a file inside the folder',
  });

const graphInput = z.discriminatedUnion('from', [
  z.strictObject({ from: z.literal('input'), input: name, ...batched }),
  z.strictObject({ from: z.literal('frame'), input: name.optional(), ...batched }),
  z.strictObject({ from: z.literal('item'), ...batched }),
  z.strictObject({ from: z.literal('token'), ...batched }),
  z.strictObject({ from: z.literal('state'), state: name, ...batched }),
  z.strictObject({ from: z.literal('parameter'), parameter: name, ...batched }),
  z.strictObject({
    from: z.literal('constant'),
    value: z.union([z.number(), z.array(z.number()).min(1)], 'a number, or a list of numbers'),
    ...batched,
  }),
]);

const graphOutput = z.strictObject({
  emit: name.optional(),
  state: name.optional(),
  logits: z.literal(true).optional(),
  batch_axis: batchAxis.default(null),
});

const graph = z.strictObject({
  file: fileName.optional(),
  run: z.enum(['once', 'per-item', 'per-step']).default('per-step'),
  inputs: z.record(z.string(), graphInput).default({}),
  outputs: z.record(z.string(), graphOutput).optional(),
});

const tolerance = z.number().min(0).max(1e6);

const state = z.strictObject({
  initial: z.union([z.literal('zeros'), z.number()], 'zeros or a number').default('zeros'),
  shape: z.array(positive).max(8).optional(),
  scope: z.enum(['session', 'turn']).default('session'),
  window: z.strictObject({ axis }).optional(),
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

const input = z.strictObject({
  dtype: z.enum(dtypes).optional(),
  shape: z
    .array(z.union([whole, name], 'a size, or the name of a free dimension'))
    .max(8)
    .optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  allow_nan: z.boolean().default(false),
  description: z.string().default(''),
  media: media.optional(),
});

const framing = z.strictObject({
  input: z.union([name, z.array(name).min(1).max(8)], 'the name of an input, or a list of names'),
  axis: axis.default(0),
  frame: positive,
  hop: positive.optional(),
  carry: whole.default(0),
  carry_value: z.number().default(0),
  remainder: z.enum(['keep', 'pad', 'drop']).default('keep'),
  formats: z
    .array(z.enum(['float32', 'int16']))
    .min(1)
    .default(['float32']),
});

const modelName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'a name of [a-z0-9][a-z0-9._-]{0,63}');

export const manifestSchema = z.strictObject({
  name: modelName.optional(),
  kind: z.enum(['stateless', 'stateful', 'generator']).optional(),
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
  graphs: z.record(name, graph).default({}),
  dims: z.record(z.string().min(1), whole).default({}),
  state: z.record(name, state).default({}),
  parameters: z.record(name, parameter).default({}),
  inputs: z.record(name, input).default({}),
  outputs: z
    .record(
      name,
      z.strictObject({
        description: z.string().default(''),
        labels: z.array(z.string()).default([]),
      }),
    )
    .default({}),
  framing: z
    .union(
      [framing, z.array(framing).min(1).max(8)],
      'a section with input and frame, or a list of such',
    )
    .optional(),
  generation: z
    .strictObject({
      start: z.union([z.string(), whole], 'a token or its id'),
      stop: z.array(z.union([z.string(), whole], 'a token or its id')).default([]),
      max_tokens: positive.default(256),
      sampling: z
        .strictObject({
          temperature: z.number().min(0).max(100).default(0),
          top_k: whole.default(0),
        })
        .default({ temperature: 0, top_k: 0 }),
    })
    .optional(),
  text: z
    .strictObject({
      input: z
        .strictObject({
          vocabulary: fileName,
          split: z.enum(['characters', 'spaces']).default('characters'),
          case: z.enum(['lower', 'upper', 'keep']).default('keep'),
          append: z.array(z.string()).default([]),
        })
        .optional(),
      output: z.strictObject({ vocabulary: fileName, join: z.string().default('') }).optional(),
    })
    .default({}),
  batching: z
    .strictObject({
      class: z.enum(['exact', 'tolerance', 'unbatched']).optional(),
      max_batch: z.int().min(1).max(1024).default(16),
    })
    .default({ max_batch: 16 }),
  limits: z
    .strictObject({
      max_input_bytes: bytes.optional(),
      max_sequence_length: positive.default(4096),
      max_state_bytes: bytes.optional(),
    })
    .default({ max_sequence_length: 4096 }),
  golden: z
    .strictObject({
      file: fileName.optional(),
      tolerance: tolerance.optional(),
      atol: tolerance.optional(),
      rtol: tolerance.optional(),
    })
    .default({}),
  variants: z.record(modelName, z.looseObject({})).default({}),
});

export type WrittenManifest = z.output<typeof manifestSchema>;
export type WrittenGraph = WrittenManifest['graphs'][string];
export type WrittenGraphInput = WrittenGraph['inputs'][string];
export type WrittenGraphOutput = NonNullable<WrittenGraph['outputs']>[string];

/** What the ONNX files say filled in. */
export interface FilledManifest extends WrittenManifest {
  readonly name: string;
  readonly graphs: Record<string, FilledGraph>;
  readonly inputs: Record<string, FilledInput>;
}

type WrittenInput = WrittenManifest['inputs'][string];
export type FilledInput = WrittenInput & {
  readonly dtype: DType;
  readonly shape: readonly Dimension[];
};

export type FilledGraph = WrittenGraph & {
  readonly file: string;
  readonly outputs: Record<string, WrittenGraphOutput>;
};
