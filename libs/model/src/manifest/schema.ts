/** model.yaml as it is written; what it means and how it hangs together is checked in load.ts. */
import { z } from 'zod';
import type { DType } from '@cabstand/tensor';
import { bytes, common, fileName, input, name, positive, whole } from './schema-parts';
import type { Dimension } from './signature';

const axis = z.int().min(0).max(7);
const batchAxis = axis.nullable();
const batched = { batch_axis: batchAxis.default(null) };
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

export const manifestSchema = z.strictObject({
  ...common,
  kind: z.enum(['stateless', 'stateful', 'generator']).optional(),
  graphs: z.record(name, graph).default({}),
  dims: z.record(z.string().min(1), whole).default({}),
  state: z.record(name, state).default({}),
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
