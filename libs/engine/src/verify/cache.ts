/** Results of verification that are kept: what was measured once need not be measured again. */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { GoldenSequence, Manifest, Provider } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import type { Verification } from './verify';

/** Counts up when verification looks at something new: older results say too little then. */
const FORMAT = 1;
const MOST_BYTES = 64 * 1024;
const MOST_ENTRIES = 1000;
const SUFFIX = '.json';
/** What was cut short by a busy machine is not tried at every start, but again some time. */
const INCOMPLETE_MS = 24 * 3_600_000;

export interface CacheKey {
  readonly manifest: Manifest;
  readonly golden: readonly GoldenSequence[] | undefined;
  /** Version of ONNX Runtime, and CPU features. */
  readonly runtime: string;
  readonly provider: Provider;
  readonly threads: number;
  readonly maxBatch: number;
}

/** A folder of results by what they depend on. Nothing in it is trusted, and it may vanish at any time. */
export class VerificationCache {
  readonly #folder: string;
  readonly #file: string;

  /** @param key of the model that is asked for */
  constructor(folder: string, key: CacheKey) {
    this.#folder = folder;
    this.#file = path.join(folder, `${hashOf(key)}${SUFFIX}`);
  }

  /** Undefined where there is none that can be used. */
  async read(): Promise<Verification | undefined> {
    try {
      const file = await open(this.#file);
      try {
        const { size, mtimeMs } = await file.stat();
        if (size > MOST_BYTES) return undefined;
        const value: unknown = JSON.parse(await file.readFile('utf8'));
        if (!isVerification(value)) return undefined;
        return value.complete || Date.now() - mtimeMs < INCOMPLETE_MS ? value : undefined;
      } finally {
        await file.close();
      }
    } catch {
      return undefined;
    }
  }

  /** In one piece or not at all. Rejects where the folder cannot be written. */
  async write(verification: Verification): Promise<void> {
    const text = JSON.stringify(verification);
    if (text.length > MOST_BYTES) return;
    await mkdir(this.#folder, { recursive: true });
    const partial = `${this.#file}.${process.pid}.partial`;
    try {
      await writeFile(partial, text);
      await rename(partial, this.#file);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
    await this.#prune();
  }

  /** The oldest go. */
  async #prune(): Promise<void> {
    const names = await readdir(this.#folder);
    if (names.length <= MOST_ENTRIES) return;
    const aged = await Promise.all(
      names.map(async (name) => {
        const file = path.join(this.#folder, name);
        const found = await stat(file).catch(() => undefined);
        return { file, at: found?.mtimeMs ?? 0 };
      }),
    );
    aged.sort((a, b) => a.at - b.at);
    for (const { file } of aged.slice(0, names.length - MOST_ENTRIES))
      await rm(file, { force: true });
  }
}

function hashOf({ manifest, golden, runtime, provider, threads, maxBatch }: CacheKey): string {
  const hash = createHash('sha256');
  const { digest } = manifest;
  hash.update(JSON.stringify([FORMAT, digest, runtime, provider, threads, maxBatch]));
  // What the files say, not their bytes: data may be in files beside golden.json.
  for (const { turns } of golden ?? [])
    for (const { prompt, parameters, inputs, records } of turns) {
      hash.update(JSON.stringify([prompt, parameters, records.map(({ text }) => text)]));
      for (const tensor of inputs) update(hash, tensor);
      for (const { outputs } of records) for (const tensor of outputs) update(hash, tensor);
    }
  return hash.digest('hex');
}

function update(
  hash: ReturnType<typeof createHash>,
  { name, dtype, shape, data, strings = [] }: Tensor,
): void {
  hash.update(JSON.stringify([name, dtype, shape, strings, data.byteLength]));
  hash.update(data);
}

const CLASSES: readonly unknown[] = ['exact', 'tolerance', 'unbatched'];
const REFERENCES: readonly unknown[] = ['golden', 'self', 'none'];

function isVerification(value: unknown): value is Verification {
  if (typeof value !== 'object' || value === null) return false;
  const { batchClass, maxBatch, goldenError, reference, unbatchedBecause, notes, complete } =
    value as Record<string, unknown>;
  return (
    CLASSES.includes(batchClass) &&
    REFERENCES.includes(reference) &&
    Number.isSafeInteger(maxBatch) &&
    (maxBatch as number) >= 1 &&
    typeof goldenError === 'number' &&
    goldenError >= 0 &&
    typeof unbatchedBecause === 'string' &&
    typeof complete === 'boolean' &&
    Array.isArray(notes) &&
    notes.every((note) => typeof note === 'string')
  );
}
