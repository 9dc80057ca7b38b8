/** Tensors of golden data: in base64, as a list of texts, or in an .npz file beside. */
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CabstandError } from '@cabstand/core';
import { DTYPES, elementCount, isDType, stringTensor } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { readRegular } from '../files/regular';
import type { Report } from '../manifest/problems';
import { readNpz } from '../npy/npz';
import type { WrittenTensor } from './schema';

/** Bytes of all tensors of a file together, unpacked: an engine holds them all, and so does who rehearses. */
const LARGEST_GOLDEN = 256 * 2 ** 20;
/** What takes the place of a tensor that cannot be read: the file is refused in the end. */
const NONE: Tensor = { name: '', dtype: 'uint8', shape: [0], data: new Uint8Array(0) };

export class TensorReader {
  readonly #folder: string;
  readonly #report: Report;
  /** Bytes that may still be unpacked. */
  #left = LARGEST_GOLDEN;
  readonly #archives = new Map<string, ReadonlyMap<string, Tensor> | undefined>();

  constructor(file: string, report: Report) {
    this.#folder = dirname(file);
    this.#report = report;
  }

  /** Reads the archives that tensors name: `read` finds them then. */
  async open(written: readonly WrittenTensor[], key: string): Promise<void> {
    for (const path of new Set(written.flatMap(({ npz }) => npz ?? []))) {
      const keys = written.flatMap((one) => (one.npz === path ? (one.key ?? []) : []));
      this.#archives.set(path, await this.#archive(path, new Set(keys), key));
    }
  }

  /** What is wrong is reported under `key`. */
  read(name: string, written: WrittenTensor, key: string): Tensor {
    const { base64, strings, npz } = written;
    const given = [base64, strings, npz].filter((one) => one !== undefined);
    if (given.length !== 1)
      return this.#refuse(key, written, 'exactly one of base64, strings and npz');
    if (npz !== undefined) return this.#stored(name, npz, written, key);
    const { dtype, shape } = written;
    if (dtype === undefined || !isDType(dtype))
      return this.#refuse(`${key}.dtype`, dtype, `one of ${Object.keys(DTYPES).join(', ')}`);
    if (shape === undefined) return this.#refuse(`${key}.shape`, shape, 'a list of sizes');
    const count = elementCount(shape);
    if ((dtype === 'string') !== (strings !== undefined))
      return this.#refuse(`${key}.dtype`, dtype, 'strings for dtype string, base64 for all others');
    if (strings !== undefined)
      return strings.length === count
        ? stringTensor(name, strings, shape)
        : this.#refuse(`${key}.strings`, `${strings.length} texts`, `${count} for its shape`);
    return this.#numbers(name, { ...written, dtype, shape }, key);
  }

  #numbers(
    name: string,
    { dtype, shape, base64 = '', encoding }: Pick<Tensor, 'dtype' | 'shape'> & WrittenTensor,
    key: string,
  ): Tensor {
    const bytes = elementCount(shape) * DTYPES[dtype].bytes;
    if (bytes > this.#left)
      return this.#refuse(`${key}.shape`, shape, `at most ${LARGEST_GOLDEN} bytes in all tensors`);
    this.#left -= bytes;
    let data: Buffer = Buffer.from(base64, 'base64');
    if (encoding === 'gzip')
      try {
        data = gunzipSync(data, { maxOutputLength: Math.max(1, bytes) });
      } catch (error) {
        const { message } = CabstandError.from(error);
        return this.#refuse(key, 'base64', `${bytes} gzipped bytes: ${message}`);
      }
    if (data.length !== bytes)
      return this.#refuse(key, `${data.length} bytes`, `${bytes} bytes for its shape`);
    return { name, dtype, shape, data };
  }

  #stored(name: string, path: string, written: WrittenTensor, key: string): Tensor {
    const archive = this.#archives.get(path);
    if (archive === undefined) return NONE;
    const found = archive.get(written.key ?? '');
    if (found === undefined)
      return this.#refuse(`${key}.key`, written.key, `the key of an array of ${path}`);
    const { dtype = found.dtype, shape = found.shape } = written;
    if (dtype !== found.dtype || shape.join() !== found.shape.join())
      return this.#refuse(
        key,
        `${dtype} [${shape.join(', ')}]`,
        `${found.dtype} [${found.shape.join(', ')}], as ${path} has it`,
      );
    return { ...found, name };
  }

  async #archive(
    path: string,
    keys: ReadonlySet<string>,
    key: string,
  ): Promise<ReadonlyMap<string, Tensor> | undefined> {
    if (/^[\\/]/.test(path) || path.split(/[\\/]/).includes('..')) {
      this.#report(key, path, 'an .npz file inside the folder');
      return undefined;
    }
    const file = join(this.#folder, path);
    try {
      const arrays = readNpz(await readRegular(file, LARGEST_GOLDEN), file, keys, this.#left);
      for (const { data } of arrays.values()) this.#left -= data.byteLength;
      return arrays;
    } catch (error) {
      this.#report(key, path, `an .npz file: ${CabstandError.from(error).message}`);
      return undefined;
    }
  }

  #refuse(key: string, value: unknown, expected: string): Tensor {
    this.#report(key, value, expected);
    return NONE;
  }
}
