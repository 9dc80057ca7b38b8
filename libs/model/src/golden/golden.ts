/** Golden data: what the model answers, from an outside reference. */
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { CabstandError } from '@cabstand/core';
import { DTYPES, elementCount, isDType } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';

interface GoldenRecord {
  readonly outputs: readonly Tensor[];
  readonly text: string;
}

/** Turns of one session, in order. */
export interface GoldenSequence {
  readonly turns: readonly GoldenTurn[];
}

export interface GoldenTurn {
  readonly prompt: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly inputs: readonly Tensor[];
  readonly records: readonly GoldenRecord[];
}

/** Fewer say little. */
const FEWEST_STEPS = 32;
const FEWEST_SEQUENCES = 2;
const LARGEST_TENSOR = 1024 * 1024 * 1024;

const tensor = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().min(1)).max(8),
  base64: z.string(),
  encoding: z.literal('gzip').optional(),
});

const turn = z.strictObject({
  prompt: z.string().nullable().default(null),
  parameters: z.record(z.string(), z.unknown()).default({}),
  inputs: z.record(z.string(), tensor).default({}),
  records: z
    .array(
      z.strictObject({
        outputs: z.record(z.string(), tensor),
        text: z.string().default(''),
      }),
    )
    .min(1),
});

/** A sequence of a single turn may be written as that turn. */
const sequence = z.union([
  z.strictObject({ turns: z.array(turn).min(1) }),
  turn.transform((only) => ({ turns: [only] })),
]);

const golden = z.strictObject({
  made_by: z.string(),
  reference: z.string(),
  sequences: z.array(sequence).min(FEWEST_SEQUENCES),
});

/** @throws CabstandError MANIFEST_INVALID naming the file and what is wrong in it. */
export async function readGolden(file: string): Promise<GoldenSequence[]> {
  const broken = (key: string, why: string): CabstandError =>
    new CabstandError('MANIFEST_INVALID', `${file}: ${key}: ${why}`, {
      metadata: { file, field: key, expected: why },
    });
  let written: unknown;
  try {
    written = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw broken('(file)', `expected JSON: ${CabstandError.from(error).message}`);
  }
  const result = golden.safeParse(written);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw broken(issue?.path.join('.') ?? '(root)', issue?.message ?? 'not golden data');
  }
  const tensors = (
    named: Readonly<Record<string, z.output<typeof tensor>>>,
    key: string,
  ): Tensor[] =>
    Object.entries(named).map(([name, { dtype, shape, base64, encoding }]) => {
      const raw = Buffer.from(base64, 'base64');
      const data = encoding === 'gzip' ? gunzipSync(raw, { maxOutputLength: LARGEST_TENSOR }) : raw;
      if (!isDType(dtype) || dtype === 'string')
        throw broken(`${key}.${name}.dtype`, `expected a dtype of numbers, got ${dtype}`);
      const bytes = elementCount(shape) * DTYPES[dtype].bytes;
      if (data.length !== bytes)
        throw broken(`${key}.${name}`, `expected ${bytes} bytes for its shape, got ${data.length}`);
      return { name, dtype, shape, data };
    });
  const turnOf = (written: z.output<typeof turn>, key: string): GoldenTurn => ({
    prompt: written.prompt ?? '',
    parameters: written.parameters,
    inputs: tensors(written.inputs, `${key}.inputs`),
    records: written.records.map((record, number) => ({
      outputs: tensors(record.outputs, `${key}.records.${number}.outputs`),
      text: record.text,
    })),
  });
  const sequences = result.data.sequences.map(({ turns }, index) => ({
    turns: turns.map((one, number) => turnOf(one, `sequences.${index}.turns.${number}`)),
  }));
  const steps = sequences
    .flatMap(({ turns }) => turns)
    .reduce((sum, { records }) => sum + records.length, 0);
  if (steps < FEWEST_STEPS)
    throw broken('sequences', `expected ${FEWEST_STEPS} records or more, got ${steps}`);
  return sequences;
}
