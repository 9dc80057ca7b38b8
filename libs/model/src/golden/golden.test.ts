import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { stringTensor, tensorFrom, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { loadManifest } from '../manifest/load';
import type { Manifest } from '../manifest/types';
import { BUNDLED, OWN, SHARED } from '../models.fixture';
import { writeNpz } from '../npy/npz';
import { readGolden } from './golden';
import { goldenNotes } from './notes';
import type { GoldenSequence } from './types';
import { writeGolden } from './write';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'cabstand-golden-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const one = { dtype: 'float32', shape: [1], base64: 'AACAPw==' };
const file = (): string => join(folder, 'golden.json');
const write = (...sequences: unknown[]): void =>
  writeFileSync(file(), JSON.stringify({ sequences }));
const turn = (x: unknown, y: unknown = one) => ({ inputs: { x }, records: [{ outputs: { y } }] });
const messageOf = async (manifest?: Manifest): Promise<string> =>
  readGolden(file(), manifest).then(
    () => 'fine',
    (error: unknown) => (error as Error).message,
  );

test.each([
  [BUNDLED, 'silero-vad'],
  [BUNDLED, 'g2p'],
  [BUNDLED, 'text-orientation'],
  [SHARED, 'accumulator'],
  [OWN, 'mixer'],
])('golden data of %s/%s are valid', async (root, name) => {
  const manifest = await loadManifest(join(root, name), undefined, { digest: false });
  const sequences = await readGolden(manifest.golden.file ?? '', manifest);
  expect(sequences.length).toBeGreaterThanOrEqual(1);
});

test('tensors of every kind are read: texts, none, scalars, float16, and from npz files', async () => {
  writeFileSync(join(folder, 'big.npz'), writeNpz([tensorFrom('x0', 'int64', [7, 8])]));
  const text = { dtype: 'string', shape: [1, 1], strings: ['bern'] };
  const empty = { dtype: 'float32', shape: [0, 4], base64: '' };
  const scalar = { dtype: 'float16', shape: [], base64: 'ADw=' };
  const stored = { npz: 'big.npz', key: 'x0' };
  const gzipped = {
    dtype: 'int8',
    shape: [0],
    base64: 'H4sIAAAAAAACAwMAAAAAAAAAAAA=',
    encoding: 'gzip',
  };
  write(turn(text, empty), { turns: [turn(scalar, stored), turn(gzipped)] });
  const [first, second] = await readGolden(file());
  expect(first?.turns[0]?.inputs).toEqual([stringTensor('x', ['bern'], [1, 1])]);
  expect(first?.turns[0]?.records[0]?.outputs[0]).toMatchObject({ name: 'y', shape: [0, 4] });
  expect(second?.turns).toHaveLength(2);
  expect(second?.turns[0]?.inputs[0]).toMatchObject({ dtype: 'float16', shape: [] });
  expect(second?.turns[0]?.records[0]?.outputs[0]).toMatchObject({
    name: 'y',
    dtype: 'int64',
    shape: [2],
  });
});

test('everything that is wrong is named at once, by its place', async () => {
  writeFileSync(join(folder, 'big.npz'), writeNpz([tensorFrom('x0', 'int64', [7, 8])]));
  write(
    turn({ ...one, shape: [2] }),
    turn({ ...one, dtype: 'float31' }),
    { turns: [turn(one), turn({ dtype: 'string', shape: [2], strings: ['a'] })] },
    turn({ ...one, strings: [] }),
    turn({ npz: 'big.npz', key: 'x1' }, { npz: '../big.npz', key: 'x0' }),
    turn({ npz: 'big.npz', key: 'x0', shape: [3] }, { npz: 'none.npz', key: 'x0' }),
    turn({ dtype: 'float32', shape: [1], base64: 'AACAPw==', encoding: 'gzip' }),
    { ...turn(one), record: [] },
    { turns: [{ inputs: {} }] },
    turn({ dtype: 'float64', shape: [2 ** 40], base64: '' }),
  );
  const message = await messageOf();
  for (const expected of [
    /sequences\.0\.inputs\.x: got "4 bytes", expected 8 bytes/,
    /sequences\.1\.inputs\.x\.dtype: got "float31", expected one of float32/,
    /sequences\.2\.turns\.1\.inputs\.x\.strings: got "1 texts", expected 2/,
    /sequences\.3\.inputs\.x: .*exactly one of base64, strings and npz/,
    /sequences\.4\.inputs\.x\.key: got "x1", expected the key of an array of big\.npz/,
    /npz: got "\.\.\/big\.npz", expected an \.npz file inside the folder/,
    /sequences\.5\.inputs\.x: got "int64 \[3\]", expected int64 \[2\]/,
    /npz: got "none\.npz", expected an \.npz file: ENOENT/,
    /sequences\.6\.inputs\.x: got "base64", expected 4 gzipped bytes/,
    /sequences\.7\.record: unknown key, expected .*did you mean records\?/,
    /sequences\.8\.turns\.0\.records: got nothing, expected array/,
    /sequences\.9\.inputs\.x\.shape: .*at most 268435456 bytes in all tensors/,
  ])
    expect(message).toMatch(expected);
});

test('all gzipped tensors together are unpacked no further than a limit', async () => {
  // 24 of 16 MiB: each is harmless, all of them are 384 MiB out of a file of half a MiB.
  const bytes = 16 * 2 ** 20;
  const base64 = gzipSync(Buffer.alloc(bytes)).toString('base64');
  const outputs = { x: { dtype: 'uint8', shape: [bytes], base64, encoding: 'gzip' } };
  write({ records: Array.from({ length: 24 }, () => ({ outputs })) });
  expect(await messageOf()).toMatch(
    /sequences\.0\.records\.16\.outputs\.x\.shape: .*at most 268435456 bytes/,
  );
});

test('a file of golden data that is too large is not read, nor what stands in one told', async () => {
  writeFileSync(file(), 'root:x:0:0:root');
  expect(await messageOf()).toMatch(/it is not JSON$/);
  truncateSync(file(), 64 * 2 ** 20 + 1);
  expect(await messageOf()).toMatch(/67108865 bytes, at most 67108864 bytes are read/);
});

test('gzipped bytes are not unpacked beyond what the shape needs', async () => {
  // 4,096 zeros.
  const packed = 'H4sIAAAAAAACA+3BAQ0AAADCoPdPbQ8HFAAAAPBuEQAcxwAQAAA=';
  write(turn({ dtype: 'uint8', shape: [16], base64: packed, encoding: 'gzip' }));
  expect(await messageOf()).toMatch(/16 gzipped bytes/);
});

test.each([
  ['{', /\(file\).*golden data in JSON/],
  ['{"sequences": []}', /sequences: .*at least 1/],
  ['{"sequence": []}', /sequence: unknown key.*did you mean sequences/],
])('%s is no golden data', async (text, message) => {
  writeFileSync(file(), text);
  expect(await messageOf()).toMatch(message);
});

test('what no caller could send, and outputs that the model lacks, are named', async () => {
  const manifest = await loadManifest(join(BUNDLED, 'silero-vad'), undefined, { digest: false });
  const audio = { dtype: 'float32', shape: [1], base64: 'AACAPw==' };
  const loud = { dtype: 'float32', shape: [1], base64: 'AAAAQA==' };
  write(
    { inputs: { audio }, records: [{ outputs: { speech: one } }] },
    { inputs: { audio: loud }, records: [{}] },
    { turns: [{ inputs: { audio }, parameters: { sample_rate: 8000 }, records: [{}] }] },
    { records: [{}] },
  );
  const message = await messageOf(manifest);
  for (const expected of [
    /sequences\.0\.records\.0\.outputs\.speech: .*did you mean|sequences\.0\.records\.0\.outputs\.speech: .*speech_probability/,
    /sequences\.1: what no caller could send: tensor audio element 0: got 2, expected/,
    /sequences\.2\.turns\.0: what no caller could send: parameter sample_rate/,
    /sequences\.3: what no caller could send: input audio/,
  ])
    expect(message).toMatch(expected);
});

const anyTensor = (name: string): fc.Arbitrary<Tensor> =>
  fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => tensorOf(name, bytes)),
    fc.array(fc.string(), { maxLength: 5 }).map((texts) => stringTensor(name, texts)),
    fc.constant(tensorFrom(name, 'float16', [0.5], [])),
    fc.constant(tensorOf(name, new Float32Array(2 ** 18 + 1).fill(0.25))),
  );

test('what is written is read as it was', async () => {
  const anyTurn = fc.record({
    prompt: fc.string(),
    parameters: fc.constantFrom({}, { seed: 5 }),
    inputs: anyTensor('x').map((tensor) => [tensor]),
    records: fc.array(
      fc.record({ outputs: anyTensor('y:0').map((tensor) => [tensor]), text: fc.string() }),
      { minLength: 1, maxLength: 2 },
    ),
  });
  const anySequence = fc.record({ turns: fc.array(anyTurn, { minLength: 1, maxLength: 3 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(anySequence, { minLength: 1, maxLength: 3 }), async (sequences) => {
      const path = await writeGolden(folder, { madeBy: 'a test', reference: 'none', sequences });
      expect(plain(await readGolden(path))).toEqual(plain(sequences));
    }),
    { numRuns: 30 },
  );
  expect(readFileSync(file(), 'utf8').length).toBeLessThan(2 ** 20);
});

/** Whatever their arrays are views of. */
const plain = (sequences: readonly GoldenSequence[]): unknown =>
  sequences.map(({ turns }) =>
    turns.map(({ prompt, parameters, inputs, records }) => ({
      prompt,
      parameters,
      inputs: inputs.map(plainTensor),
      records: records.map(({ outputs, text }) => ({ outputs: outputs.map(plainTensor), text })),
    })),
  );
const plainTensor = ({ data, ...rest }: Tensor): unknown => ({
  ...rest,
  hex: Buffer.from(data).toString('hex'),
});

test('notes say what golden data leave open', async () => {
  const manifest = await loadManifest(join(BUNDLED, 'silero-vad'), undefined, { digest: false });
  write(turn(one));
  expect(goldenNotes(await readGolden(file()), manifest)).toEqual([
    'fewer than 32 records (1): rare faults go unseen',
    'only one sequence: no two differ in their input',
    'no sequence has two turns: what goes on from turn to turn is not compared',
    'no record has output speech_probability: it is not compared',
  ]);
  const images = await loadManifest(join(BUNDLED, 'text-orientation'), undefined, {
    digest: false,
  });
  expect(goldenNotes(await readGolden(images.golden.file ?? ''), images)).toEqual([]);
  cpSync(join(BUNDLED, 'silero-vad/golden.json'), file());
  expect(goldenNotes(await readGolden(file()), manifest)).toHaveLength(1);
});
