import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import type { RecordedTurn } from '@cabstand/engine';
import { readNpz, validateTurnInput } from '@cabstand/model';
import type { ModelSignature } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import { UsageError } from '../errors';
import { parseJsonTensor } from '../media/json-tensor';

/**
 * Sessions of one turn each from files of recorded inputs: an npz file holds the inputs of one by their
 * names, a JSON file `{ "<input>": <tensor> }` or a list of these.
 *
 * @throws UsageError for what the model does not take.
 */
export async function recordedTurns(
  files: readonly string[],
  signature: ModelSignature,
): Promise<RecordedTurn[][]> {
  const sessions: RecordedTurn[][] = [];
  for (const file of files)
    for (const inputs of await inputsIn(file, signature)) {
      const turn = { prompt: '', parameters: {}, inputs };
      check(signature, turn, file);
      sessions.push([turn]);
    }
  return sessions;
}

async function inputsIn(file: string, { inputs }: ModelSignature): Promise<Tensor[][]> {
  const data = await readFile(file).catch((error: unknown) => {
    throw new UsageError(`cannot read ${file}: ${CabstandError.from(error).message}`);
  });
  const extension = path.extname(file).toLowerCase();
  if (extension === '.npz')
    return [[...readNpz(data, file)].map(([name, tensor]) => ({ ...tensor, name }))];
  if (extension !== '.json')
    throw new UsageError(`--audit ${file}: expected a .npz or a .json file`);
  const written: unknown = parsed(data.toString('utf8'), file);
  const turns: readonly unknown[] = Array.isArray(written) ? written : [written];
  return turns.map((turn) => {
    if (typeof turn !== 'object' || turn === null || Array.isArray(turn))
      throw new UsageError(`${file}: expected {"<input>": <tensor>} or a list of these`);
    return Object.entries(turn).map(([name, tensor]) =>
      parseJsonTensor(
        name,
        JSON.stringify(tensor),
        `${file}: ${name}`,
        inputs.find((input) => input.name === name)?.dtype,
      ),
    );
  });
}

function parsed(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${CabstandError.from(error).message}`);
  }
}

function check(signature: ModelSignature, { inputs, ...turn }: RecordedTurn, file: string): void {
  try {
    validateTurnInput(signature, { ...turn, tensors: inputs });
  } catch (error) {
    throw new UsageError(`${file}: ${CabstandError.from(error).message}`, undefined, error);
  }
}
