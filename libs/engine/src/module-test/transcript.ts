/** A session as it was recorded, to be run against other code: what it was given, and digests of what it gave. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { CabstandError } from '@cabstand/core';
import { isDType } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { RecordItem, ReplayEntry } from '../frames/module-frames';
import { bodyOf } from './record-body';
import type { Given } from './trial';

const VERSION = 1;
const count = z.int().min(0);
const placed = { point: count, chain: count };

const tensorSchema = z.strictObject({
  name: z.string(),
  dtype: z.string().refine(isDType, 'a dtype'),
  shape: z.array(count),
  data: z.base64(),
  strings: z.array(z.string()).optional(),
});

const headerSchema = z.strictObject({
  transcript: z.literal(VERSION),
  model: z.string(),
  version: z.string(),
  digest: z.string(),
  given: z.strictObject({
    prompt: z.string(),
    parameters: z.record(z.string(), z.unknown()),
    seed: count,
    inputs: z.array(tensorSchema),
    parts: z.array(z.array(tensorSchema)).optional(),
  }),
});

const named = { ...placed, name: z.string(), json: z.string() };
const recordSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('frame'),
    ...placed,
    text: z.string(),
    outputs: z.array(
      z.strictObject({
        name: z.string(),
        dtype: z.string(),
        shape: z.array(count),
        sha256: z.string(),
      }),
    ),
  }),
  z.strictObject({
    kind: z.literal('command'),
    ...placed,
    number: z.int().min(-1),
    name: z.string(),
    arguments: z.string(),
  }),
  z.strictObject({ kind: z.literal('part'), ...placed, part: count }),
  z.strictObject({ kind: z.literal('message'), ...named }),
  z.strictObject({ kind: z.literal('value'), ...named }),
  z.strictObject({
    kind: z.literal('result'),
    ...placed,
    number: z.int().min(-1),
    json: z.string(),
  }),
  z.strictObject({
    kind: z.literal('refused'),
    ...placed,
    number: z.int().min(-1),
    reason: z.string(),
    message: z.string(),
  }),
]);

/** A record without the elements of its outputs. */
export type Told = z.infer<typeof recordSchema>;

export interface Transcript {
  readonly model: string;
  readonly version: string;
  /** Of the code that it was recorded with. */
  readonly digest: string;
  readonly given: Given;
  readonly records: readonly Told[];
}

export function toldOf(record: RecordItem): Told {
  const { point, chain } = record;
  const body = bodyOf(record);
  if (body.kind !== 'frame') return { ...body, point, chain };
  const outputs = body.chunk.outputs.map(({ name, dtype, shape, data, strings }) => ({
    ...{ name, dtype, shape: [...shape] },
    sha256: createHash('sha256')
      .update(strings === undefined ? data : JSON.stringify(strings))
      .digest('hex'),
  }));
  return { kind: 'frame', point, chain, text: body.chunk.text, outputs };
}

/** What the author was given in these records. */
export function entriesOfTold(records: readonly Told[]): ReplayEntry[] {
  return records.flatMap((record): ReplayEntry[] => {
    const { chain: _, ...entry } = record;
    return entry.kind === 'command' || entry.kind === 'part' || entry.kind === 'value'
      ? [entry]
      : [];
  });
}

/** A line of JSON for what the session was given, and one for each of its records. */
export function writeTranscript({ given, records, ...about }: Transcript): string {
  const { prompt, parameters, seed, inputs, parts } = given;
  const header = {
    ...{ transcript: VERSION, ...about },
    given: {
      ...{ prompt, parameters, seed, inputs: inputs.map(tensorJson) },
      ...(parts && { parts: parts.map((part) => part.map(tensorJson)) }),
    },
  };
  return [header, ...records].map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** @throws CabstandError INVALID_ARGUMENT naming the line */
export function readTranscript(text: string): Transcript {
  const [first = '', ...lines] = text.split('\n');
  const { transcript: _, given, ...about } = parsed(headerSchema, first, 1);
  const { inputs, parts, ...rest } = given;
  return {
    ...about,
    given: {
      ...rest,
      inputs: inputs.map(tensorOf),
      parts: parts?.map((part) => part.map(tensorOf)),
    },
    records: lines.flatMap((line, index) =>
      line === '' ? [] : [parsed(recordSchema, line, index + 2)],
    ),
  };
}

function parsed<T>(schema: z.ZodType<T>, line: string, number: number): T {
  let problem: string;
  try {
    const result = schema.safeParse(JSON.parse(line));
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    problem = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`;
  } catch {
    problem = 'no JSON';
  }
  throw new CabstandError(
    'INVALID_ARGUMENT',
    `no transcript of a module: line ${number}: ${problem}`,
    {
      metadata: { field: `line ${number}`, expected: 'what `cabstand module record` writes' },
    },
  );
}

function tensorJson({ name, dtype, shape, data, strings }: Tensor) {
  return {
    ...{ name, dtype, shape, data: Buffer.from(data).toString('base64') },
    ...(strings && { strings }),
  };
}

function tensorOf({ data, strings, ...tensor }: z.infer<typeof tensorSchema>): Tensor {
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
  return { ...tensor, data: bytes, ...(strings && { strings }) };
}
