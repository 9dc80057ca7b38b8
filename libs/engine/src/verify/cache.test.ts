import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadManifest } from '@cabstand/model';
import type { GoldenSequence } from '@cabstand/model';
import { tensorOf } from '@cabstand/tensor';
import { BUNDLED } from '../engine.fixture';
import { VerificationCache } from './cache';
import type { CacheKey } from './cache';
import type { Verification } from './verify';

let folder: string;
let key: CacheKey;
beforeAll(async () => {
  const manifest = await loadManifest(join(BUNDLED, 'g2p'));
  key = {
    ...{ manifest, golden: golden(1), runtime: 'onnxruntime 1.30.0; x64 avx2' },
    ...{ provider: 'cpu', threads: 1, maxBatch: 16 },
  };
});
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'cabstand-cache-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const golden = (value: number): GoldenSequence[] => {
  const tensor = tensorOf('x', Float32Array.of(value));
  const records = [{ outputs: [tensor], text: 'a' }];
  return [{ turns: [{ prompt: 'p', parameters: {}, inputs: [tensor], records }] }];
};

const RESULT: Verification = {
  ...{ batchClass: 'tolerance', maxBatch: 8, goldenError: 1e-7, reference: 'golden' },
  ...{ unbatchedBecause: '', notes: ['one'], complete: true },
};

test('a result comes back for the same key only', async () => {
  await new VerificationCache(folder, key).write(RESULT);
  expect(await new VerificationCache(folder, key).read()).toEqual(RESULT);
  const others: Partial<CacheKey>[] = [
    { golden: golden(2) },
    { golden: undefined },
    { manifest: { ...key.manifest, digest: `sha256:${'0'.repeat(64)}` } },
    { runtime: 'onnxruntime 1.30.0; x64 avx512f' },
    { provider: 'cuda' },
    { threads: 2 },
    { maxBatch: 8 },
  ];
  for (const other of others)
    expect(await new VerificationCache(folder, { ...key, ...other }).read()).toBeUndefined();
});

test.each([
  ['cut off', '{"batchClass":"exact"'],
  ['of another form', '{"batchClass":"exact","maxBatch":16}'],
  ['of a class that there is not', JSON.stringify({ ...RESULT, batchClass: 'best' })],
  ['without rows', JSON.stringify({ ...RESULT, maxBatch: 0 })],
  ['far too large', JSON.stringify({ ...RESULT, notes: ['x'.repeat(100_000)] })],
])('an entry that is %s counts as none', async (_, text) => {
  const cache = new VerificationCache(folder, key);
  await cache.write(RESULT);
  const [name] = readdirSync(folder);
  writeFileSync(join(folder, name!), text);
  expect(await cache.read()).toBeUndefined();
  await cache.write(RESULT);
  expect(await cache.read()).toEqual(RESULT);
});

test('what time was too short for is measured again after a day', async () => {
  const cache = new VerificationCache(folder, key);
  await cache.write({ ...RESULT, complete: false });
  expect(await cache.read()).toMatchObject({ complete: false });
  const [name] = readdirSync(folder);
  const before = new Date(Date.now() - 25 * 3_600_000);
  utimesSync(join(folder, name!), before, before);
  expect(await cache.read()).toBeUndefined();
});

test('the oldest entries go when there are too many, and no partial file stays', async () => {
  for (let index = 0; index < 1005; index += 1)
    writeFileSync(join(folder, `${'0'.repeat(60)}${index}.json`), '{}');
  const cache = new VerificationCache(folder, key);
  await cache.write(RESULT);
  const names = readdirSync(folder);
  expect(names.length).toBe(1000);
  expect(names.filter((name) => name.endsWith('.partial'))).toEqual([]);
  expect(await cache.read()).toEqual(RESULT);
});

test('a folder that cannot be made is an error of writing alone', async () => {
  writeFileSync(join(folder, 'file'), '');
  const cache = new VerificationCache(join(folder, 'file', 'cache'), key);
  expect(await cache.read()).toBeUndefined();
  await expect(cache.write(RESULT)).rejects.toThrow(/ENOTDIR|EEXIST/);
});
