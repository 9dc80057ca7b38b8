/** Writes golden data as `readGolden` reads them. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import { goldenName } from '../manifest/versions';
import { writeNpz } from '../npy/npz';
import type { WrittenTensor } from './schema';
import type { GoldenSequence, GoldenTurn } from './types';

export interface GoldenData {
  /** Script or command that made the data. */
  readonly madeBy: string;
  /** What gave the answers, with its version. */
  readonly reference: string;
  readonly sequences: readonly GoldenSequence[];
}

interface Archive {
  readonly name: string;
  readonly tensors: Tensor[];
}

/** Bytes from which on a tensor goes into an archive, and from which on it is gzipped. */
const ARCHIVED = 1024 * 1024;
const GZIPPED = 64;

/**
 * Writes golden.json into the model's folder, and golden-data.npz beside it where a tensor of numbers is
 * larger than 1 MiB; those of a variant have its name in theirs. Answers the path of golden.json.
 */
export async function writeGolden(
  folder: string,
  data: GoldenData,
  variant?: string,
): Promise<string> {
  const name = goldenName(variant);
  const archive: Archive = { name: name.replace(/\.json$/, '-data.npz'), tensors: [] };
  const named = (tensors: readonly Tensor[]): Record<string, WrittenTensor> =>
    Object.fromEntries(tensors.map((tensor) => [tensor.name, writtenTensor(tensor, archive)]));
  const turnOf = ({ prompt, parameters, inputs, records }: GoldenTurn): unknown => ({
    prompt: prompt === '' ? null : prompt,
    parameters,
    inputs: named(inputs),
    records: records.map(({ outputs, text }) => ({ outputs: named(outputs), text })),
  });
  const sequences = data.sequences.map(({ turns }) => {
    const [only, ...others] = turns;
    return only !== undefined && others.length === 0 ? turnOf(only) : { turns: turns.map(turnOf) };
  });
  const written = { made_by: data.madeBy, reference: data.reference, sequences };
  if (archive.tensors.length > 0)
    await replace(join(folder, archive.name), writeNpz(archive.tensors));
  const file = join(folder, name);
  await replace(file, `${JSON.stringify(written, null, 2)}\n`);
  return file;
}

function writtenTensor(tensor: Tensor, archive: Archive): WrittenTensor {
  const { name, dtype, data, strings } = tensor;
  const shape = [...tensor.shape];
  if (dtype === 'string') {
    if (strings === undefined)
      throw new CabstandError('INPUT_BYTES', `tensor ${name}: expected its strings`);
    return { dtype, shape, strings: [...strings] };
  }
  if (data.byteLength > ARCHIVED) {
    const key = `x${archive.tensors.length}`;
    archive.tensors.push({ ...tensor, name: key });
    return { npz: archive.name, key };
  }
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const packed = bytes.length > GZIPPED ? gzipSync(bytes) : bytes;
  return packed.length < bytes.length
    ? { dtype, shape, encoding: 'gzip', base64: packed.toString('base64') }
    : { dtype, shape, base64: bytes.toString('base64') };
}

/** Readers see the file before or the one after, never half of one. */
async function replace(file: string, content: string | Uint8Array): Promise<void> {
  const aside = `${file}.${process.pid}.tmp`;
  await writeFile(aside, content);
  await rename(aside, file);
}
