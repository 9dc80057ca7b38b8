/** model.yaml of a module as it is written: what its author's code does not say itself. */
import { z } from 'zod';
import { bytes, common, dtypes, fileName, input, name, shape } from './schema-parts';

const KIB = 1024;
const MIB = 1024 * KIB;

const seconds = z.number().min(0.1).max(31_536_000);
const jsonBytes = bytes.max(4 * MIB).default(64 * KIB);
const counts = z.int().min(1).max(1_048_576);

const limits = z.strictObject({
  max_input_bytes: bytes.optional(),
  silent_seconds: seconds.max(86_400).default(30),
  stop_grace_seconds: seconds.max(3600).default(5),
  session_seconds: seconds.optional(),
  commands_waiting: counts.max(4096).default(64),
  command_bytes: jsonBytes,
  message_bytes: jsonBytes,
  record_value_bytes: jsonBytes,
  result_bytes: jsonBytes,
  uncommitted_records: counts.default(64),
  uncommitted_bytes: bytes.max(1024 * MIB).default(4 * MIB),
  replay_records: counts.default(4096),
  state_bytes: bytes.max(1024 * MIB).default(16 * MIB),
  heap_mb: z.int().min(32).max(1_048_576).default(512),
});

export const moduleSchema = z.strictObject({
  ...common,
  kind: z.literal('module').default('module'),
  module: fileName
    .regex(/\.(ts|mts|cts|js|mjs|cjs)$/, 'a file that ends in .ts, .mts, .cts, .js, .mjs or .cjs')
    .default('index.ts'),
  sessions: z.enum(['shared', 'exclusive']).default('shared'),
  survival: z.enum(['none', 'replay', 'commit']).default('none'),
  replay_check: z.enum(['exact', 'shape']).default('exact'),
  live: z.boolean().default(false),
  prompt: z.boolean().default(false),
  messages: z.record(name, z.record(z.string(), z.json())).default({}),
  config: z.record(z.string(), z.json()).default({}),
  inputs: z.record(name, input.extend({ dtype: z.enum(dtypes), shape })).default({}),
  outputs: z
    .record(
      name,
      z.strictObject({
        dtype: z.enum(dtypes),
        shape,
        description: z.string().default(''),
        labels: z.array(z.string()).default([]),
      }),
    )
    .default({}),
  limits: limits.prefault({}),
});

export type WrittenModule = z.output<typeof moduleSchema>;
