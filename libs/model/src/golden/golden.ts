/** Golden data: what the model answers, from an outside reference. */
import { z } from 'zod';
import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import { parseJson } from '../files/json';
import { readRegular } from '../files/regular';
import { problemsOfIssue } from '../manifest/issues';
import { Problems, manifestProblem, oneOf } from '../manifest/problems';
import type { ModelSignature } from '../manifest/signature';
import { validateTurnInput } from '../manifest/validate';
import { goldenSchema, sequenceSchemas } from './schema';
import type { WrittenTensor, WrittenTurn } from './schema';
import { TensorReader } from './tensors';
import type { GoldenSequence, GoldenTurn } from './types';

const LARGEST_FILE = 64 * 1024 * 1024;

/** A turn and where it stands in the file. */
interface Placed {
  readonly turn: WrittenTurn;
  readonly key: string;
}

/**
 * Reads a model's golden data.
 *
 * @param signature also check that a caller could send the inputs, and that the model has the outputs.
 * @throws CabstandError MANIFEST_INVALID naming the file and everything that is wrong in it.
 */
export async function readGolden(
  file: string,
  signature?: ModelSignature,
): Promise<GoldenSequence[]> {
  const problems = new Problems(file);
  const written = await readSequences(file, problems);
  const reader = new TensorReader(file, problems.report);
  await reader.open(
    written.flat().flatMap(({ turn }) => tensorsOf(turn)),
    'npz',
  );
  const sequences = written.map((placed) => ({
    turns: placed.map(({ turn, key }) => turnOf(turn, key, reader)),
  }));
  // What could not be read would be refused a second time, as something else.
  if (!problems.any && signature !== undefined)
    written.forEach((placed, index) => {
      placed.forEach(({ key }, number) => {
        const turn = sequences[index]?.turns[number];
        if (turn !== undefined) checkTurn(turn, key, { file, signature, problems });
      });
    });
  problems.throwIfAny();
  return sequences;
}

async function readSequences(file: string, problems: Problems): Promise<Placed[][]> {
  const written = await readJson(file);
  const result = goldenSchema.safeParse(written);
  if (!result.success) {
    for (const issue of result.error.issues)
      for (const one of problemsOfIssue(issue, goldenSchema, written, file)) problems.add(one);
    return [];
  }
  return result.data.sequences.map((value, index) => {
    const key = `sequences.${index}`;
    const several = 'turns' in value;
    const schema = several ? sequenceSchemas.turns : sequenceSchemas.turn;
    const sequence = schema.safeParse(value);
    if (!sequence.success) {
      // Its paths begin at the sequence; keys of the file begin above.
      const above = z.object({ sequences: z.array(schema) });
      for (const issue of sequence.error.issues) {
        const path = ['sequences', index, ...issue.path];
        for (const one of problemsOfIssue({ ...issue, path }, above, written, file))
          problems.add(one);
      }
      return [];
    }
    const { data } = sequence;
    return 'turns' in data
      ? data.turns.map((turn, number) => ({ turn, key: `${key}.turns.${number}` }))
      : [{ turn: data, key }];
  });
}

async function readJson(file: string): Promise<unknown> {
  try {
    return parseJson(await readRegular(file, LARGEST_FILE));
  } catch (error) {
    const why = `golden data in JSON (large tensors as npz): ${CabstandError.from(error).message}`;
    throw manifestProblem(file, '(file)', file, why);
  }
}

function tensorsOf({ inputs, records }: WrittenTurn): WrittenTensor[] {
  return [inputs, ...records.map(({ outputs }) => outputs)].flatMap((named) =>
    Object.values(named),
  );
}

function turnOf(written: WrittenTurn, key: string, reader: TensorReader): GoldenTurn {
  const read = (named: Readonly<Record<string, WrittenTensor>>, at: string): Tensor[] =>
    Object.entries(named).map(([name, one]) => reader.read(name, one, `${at}.${name}`));
  return {
    prompt: written.prompt ?? '',
    parameters: written.parameters,
    inputs: read(written.inputs, `${key}.inputs`),
    records: written.records.map(({ outputs, text }, number) => ({
      outputs: read(outputs, `${key}.records.${number}.outputs`),
      text,
    })),
  };
}

interface Checked {
  readonly file: string;
  readonly signature: ModelSignature;
  readonly problems: Problems;
}

function checkTurn(turn: GoldenTurn, key: string, { file, signature, problems }: Checked): void {
  const { prompt, parameters, inputs } = turn;
  try {
    validateTurnInput(signature, { prompt, parameters, tensors: inputs });
  } catch (error) {
    const { message, metadata } = CabstandError.from(error);
    const why = `${file}: ${key}: what no caller could send: ${message}`;
    problems.add(
      new CabstandError('MANIFEST_INVALID', why, { metadata: { ...metadata, file, field: key } }),
    );
  }
  const names = signature.outputs.map(({ name }) => name);
  turn.records.forEach(({ outputs }, number) => {
    for (const { name } of outputs)
      if (!names.includes(name))
        problems.report(`${key}.records.${number}.outputs.${name}`, name, oneOf(name, names));
  });
}
