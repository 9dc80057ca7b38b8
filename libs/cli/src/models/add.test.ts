import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { LoadedFrame } from '@cabstand/engine';
import { loadManifest, readGolden, writeNpy } from '@cabstand/model';
import { onnxModel } from '@cabstand/testing';
import { arrayOf, tensorOf } from '@cabstand/tensor';
import { UsageError } from '../errors';
import { Folder } from '../folder.fixture';
import { addModel } from './add';
import type { AddOptions } from './add';
import type { ModelReport } from './check';
import { addGolden as addGoldenTo } from './golden';
import type { Compute, GoldenOptions } from './golden';
import { initModule } from './init-module';
import { renewGolden } from './renew-golden';

const root = new Folder();
afterAll(() => root.remove());

const graph = (op: string) =>
  onnxModel({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['n', 2] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: ['n', 2] }],
    nodes: [{ op, inputs: ['x'], outputs: ['y'] }],
  });

const file = root.write('My Net.onnx', graph('Neg'));
const other = root.write('other.onnx', graph('Abs'));
const repository = path.join(root.path, 'models');
const LOADED: LoadedFrame = {
  ...{ type: 'LOADED', provider: 'cpu', batchClass: 'exact', maxBatch: 16, runtime: '' },
  ...{ goldenError: 0, reference: 'self', unbatchedBecause: '', notes: [], outputs: [] },
  ...{ stateBytesPerSequence: 0, loadSeconds: 0, verifySeconds: 0 },
};
const failing: ModelReport = { ok: false, name: '', reason: 'MODEL_FAILED', problems: [] };
const passes: AddOptions['check'] = async ({ name, folder }) => ({
  ...{ ok: true, name, manifest: await loadManifest(folder), seconds: 0 },
  ...{ audit: undefined, others: [], loaded: LOADED },
});
/** Whether it holds up matters only where another one would lose its place. */
const add = (from: string, name?: string, force = false, check = passes) =>
  addModel(from, { repository, name, force, check });
const fails: AddOptions['check'] = ({ folder }) =>
  Promise.resolve({ ...failing, problems: [`${folder}/1/model.onnx: wrong`] });

/** Everything below a folder, with its content. */
const contentOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => !entry.isDirectory())
      .map(({ parentPath, name }) => path.join(parentPath, name))
      .map((at) => [path.relative(folder, at), readFileSync(at, 'base64')]),
  );

test('a file becomes a model that loads, with what is known of it', async () => {
  const added = await add(file);
  expect(added).toMatchObject({ name: 'my-net', version: '1', file: 'new', manifestWritten: true });
  expect(added.inferred).toEqual([
    expect.stringMatching(/^kind stateless: /) as string,
    expect.stringMatching(/^rows: n /) as string,
  ]);
  expect(added.open).toEqual([]);
  const manifest = await loadManifest(added.folder);
  expect(manifest).toMatchObject({ name: 'my-net', kind: 'stateless' });
  expect(readFileSync(added.manifest, 'utf8')).toMatch(/^name: my-net$/m);
});

test('the same file changes nothing; another one is the next version, and the manifest stays', async () => {
  const { manifest } = await add(file, 'twice');
  writeFileSync(manifest, 'description: mine\n');
  expect(await add(file, 'twice')).toMatchObject({
    ...{ version: '1', file: 'same', manifestWritten: false },
  });
  expect(await add(other, 'twice')).toMatchObject({
    ...{ version: '2', file: 'new', manifestWritten: false },
  });
  expect(readFileSync(manifest, 'utf8')).toBe('description: mine\n');
  // An earlier version is found again.
  expect(await add(file, 'twice')).toMatchObject({ version: '1', file: 'same' });
  expect(await add(file, 'twice', true)).toMatchObject({ manifestWritten: true });
});

test('what is no ONNX file leaves nothing behind', async () => {
  await expect(add(root.write('text.onnx', 'words'))).rejects.toThrow(UsageError);
  expect(existsSync(path.join(repository, 'text'))).toBe(false);
  await expect(add(repository)).rejects.toThrow(/is no single ONNX file/);
});

test('a version that does not hold up takes no place; the one before is the newest', async () => {
  expect(await add(file, 'slip')).toMatchObject({ before: undefined, placed: true });
  const second = await add(other, 'slip', false, fails);
  expect(second).toMatchObject({ version: '2', before: '1', placed: false });
  expect(await loadManifest(second.folder)).toMatchObject({ version: '1' });
  // The first of its name stays, to be mended.
  expect(await add(other, 'first', false, fails)).toMatchObject({ placed: true });
});

test('--force writes over nothing that works with what does not hold up', async () => {
  const { folder, manifest } = await add(file, 'forced');
  writeFileSync(manifest, 'description: mine\n');
  root.write('models/forced/1/vocab.txt', 'words');
  const before = contentOf(folder);
  const { placed, report, manifestWritten } = await add(other, 'forced', true, fails);
  expect({ placed, manifestWritten }).toEqual({ placed: false, manifestWritten: false });
  // Its files are named by where they were to go.
  expect(report).toMatchObject({ problems: [`${folder}/1/model.onnx: wrong`] });
  expect(contentOf(folder)).toEqual(before);
  // Ctrl-C, or a crash of the check.
  await expect(
    add(other, 'forced', true, () => Promise.reject(new Error('interrupted'))),
  ).rejects.toThrow('interrupted');
  expect(contentOf(folder)).toEqual(before);
  expect(readdirSync(repository).filter((name) => name.startsWith('.'))).toEqual([]);

  expect(await add(other, 'forced', true)).toMatchObject({ version: '1', placed: true });
  const after = contentOf(folder);
  expect(Object.keys(after).sort()).toEqual(Object.keys(before).sort());
  expect(after['1/model.onnx']).toBe(readFileSync(other, 'base64'));
  expect(after['1/vocab.txt']).toBe(before['1/vocab.txt']);
  expect(after['model.yaml']).not.toBe(before['model.yaml']);
});

test('what may be a state is told as open, with what to write', async () => {
  const maybe = onnxModel({
    inputs: [
      { name: 'x', dtype: 'float32', dims: [1, 2] },
      { name: 'h', dtype: 'float32', dims: [1, 2] },
    ],
    outputs: [
      { name: 'y', dtype: 'float32', dims: [1, 2] },
      { name: 'h_out', dtype: 'float32', dims: [1, 2] },
    ],
    nodes: [
      { op: 'Add', inputs: ['x', 'h'], outputs: ['y'] },
      // It does not depend on h: not certain to be the next one.
      { op: 'Neg', inputs: ['x'], outputs: ['h_out'] },
    ],
  });
  const { inferred, open } = await add(root.write('maybe.onnx', maybe));
  expect(inferred[0]).toMatch(/^kind stateless/);
  expect(open.join('\n')).toMatch(/if so, write state: \{ h: \{ initial: zeros \} \}/);
});

describe('golden data', () => {
  const npy = (name: string, values: number[]): string => {
    const to = path.join(root.path, `${name}.npy`);
    writeFileSync(to, writeNpy(tensorOf(name, Float32Array.from(values), [1, 2])));
    return to;
  };
  const computed = [{ outputs: [tensorOf('y', Float32Array.of(7, 8), [1, 2])], text: '' }];
  const asked: number[] = [];
  const addGolden = (folder: string, given: GoldenOptions) =>
    addGoldenTo(folder, given, (_, turns) => {
      asked.push(...turns.map(({ length }) => length));
      return Promise.resolve(turns.map((session) => session.map(() => computed)));
    });
  const options = {
    inputs: [`x=${npy('x', [1, -2])}`],
    outputs: [`y=${npy('y', [-1, 2])}`],
    ...{ prompt: undefined, parameters: {}, turn: false },
  };

  test('grow by a sequence, or by a turn of the last one', async () => {
    const { folder } = await add(file, 'golden');
    await expect(addGolden(folder, { ...options, turn: true })).rejects.toThrow(/no sequence/);
    expect(await addGolden(folder, options)).toMatchObject({ sequences: 1, records: 1 });
    expect(await addGolden(folder, options)).toMatchObject({ sequences: 2 });
    const two = { ...options, outputs: [...options.outputs, ...options.outputs], turn: true };
    const added = await addGolden(folder, two);
    expect(added).toMatchObject({ sequences: 2, records: 2 });
    expect(added.notes).toEqual([expect.stringMatching(/fewer than 32 records \(4\)/) as string]);
    const sequences = await readGolden(added.file);
    expect(sequences.map(({ turns }) => turns.length)).toEqual([1, 2]);
    const [output] = sequences[0]?.turns[0]?.records[0]?.outputs ?? [];
    expect(Array.from(arrayOf(output!), Number)).toEqual([-1, 2]);
  });

  test('that the model would not take, or does not give, are refused', async () => {
    const { folder } = await add(file, 'refused');
    const wide = root.write('wide.json', '[[1, 2, 3]]');
    await expect(addGolden(folder, { ...options, inputs: [`x=${wide}`] })).rejects.toThrow(
      UsageError,
    );
    await expect(addGolden(folder, { ...options, inputs: [] })).rejects.toThrow(/x/);
    await expect(
      addGolden(folder, { ...options, outputs: [`z=${npy('z', [1, 2])}`] }),
    ).rejects.toThrow(/the model has no z[^]*/);
    const wav = root.write('a.wav', '');
    await expect(addGolden(folder, { ...options, inputs: [`x=${wav}`] })).rejects.toThrow(
      /x takes no audio/,
    );
    expect(existsSync(path.join(folder, 'golden.json'))).toBe(false);
  });

  test('without outputs are what the model answers, with the turns before', async () => {
    const { folder } = await add(file, 'computed');
    await addGolden(folder, options);
    const added = await addGolden(folder, { ...options, outputs: [], turn: true });
    expect(added).toMatchObject({ from: 'computed', sequences: 1, records: 1 });
    expect(asked).toEqual([2]);
    const [sequence] = await readGolden(added.file);
    const [output] = sequence?.turns[1]?.records[0]?.outputs ?? [];
    expect(Array.from(arrayOf(output!), Number)).toEqual([7, 8]);
  });

  test('large tensors lie in an npz file beside', async () => {
    const { folder } = await add(file, 'large');
    mkdirSync(path.join(root.path, 'big'), { recursive: true });
    const rows = 200_000;
    const big = path.join(root.path, 'big/x.npy');
    writeFileSync(big, writeNpy(tensorOf('x', new Float32Array(rows * 2), [rows, 2])));
    await addGolden(folder, { ...options, inputs: [`x=${big}`], outputs: [`y=${big}`] });
    expect(existsSync(path.join(folder, 'golden-data.npz'))).toBe(true);
    await addGolden(folder, options);
    expect((await readGolden(path.join(folder, 'golden.json'))).length).toBe(2);
  });

  describe('renewed', () => {
    /** Twice what was asked for, whatever the graph. */
    const twice: Compute = ({ golden }, sessions) => {
      // It would be refused for the answers that are to go.
      expect(golden.file).toBeUndefined();
      return Promise.resolve(
        sessions.map((turns) =>
          turns.map(({ inputs }) => [
            {
              text: '',
              outputs: [
                tensorOf(
                  'y',
                  Float32Array.from(Array.from(arrayOf(inputs[0]!), Number), (x) => 2 * x),
                  [1, 2],
                ),
              ],
            },
          ]),
        ),
      );
    };

    test('keep their inputs and turns, and say what changed most', async () => {
      const { folder } = await add(file, 'renewed');
      await expect(renewGolden(folder, twice)).rejects.toThrow(/no .*golden\.json to renew/);
      await addGolden(folder, options);
      await addGolden(folder, { ...options, turn: true });
      await addGolden(folder, { ...options, inputs: [`x=${npy('far', [1, 50])}`] });
      const before = await readGolden(path.join(folder, 'golden.json'));
      expect(await renewGolden(folder, twice)).toMatchObject({
        ...{ sequences: 2, records: 3, changed: 3 },
        most: { where: 'sequence 1, record 0, output y[0, 1]', before: '2', now: '100' },
      });
      const after = await readGolden(path.join(folder, 'golden.json'));
      const asked = (all: typeof before) =>
        all.map(({ turns }) => turns.map((turn) => turn.inputs));
      expect(asked(after)).toEqual(asked(before));
      expect(after[0]?.turns[1]?.records[0]?.outputs[0]?.data).toEqual(
        new Uint8Array(Float32Array.of(2, -4).buffer),
      );
      expect(await renewGolden(folder, twice)).toMatchObject({ changed: 0, most: undefined });
    });

    test('with a file that is added, and only if it holds up', async () => {
      const { folder } = await add(file, 'retrained');
      await addGolden(folder, options);
      const before = contentOf(folder);
      const given = { repository, name: 'retrained', force: false };
      const renew = (staged: string) => renewGolden(staged, twice);
      expect(await addModel(other, { ...given, renew, check: fails })).toMatchObject({
        placed: false,
      });
      expect(contentOf(folder)).toEqual(before);
      expect(await addModel(other, { ...given, renew, check: passes })).toMatchObject({
        ...{ placed: true, version: '2' },
        renewed: { file: path.join(folder, 'golden.json'), changed: 1 },
      });
      const [sequence] = await readGolden(path.join(folder, 'golden.json'));
      const [output] = sequence?.turns[0]?.records[0]?.outputs ?? [];
      expect(Array.from(arrayOf(output!), Number)).toEqual([2, -4]);
      expect(contentOf(folder)['1/model.onnx']).toBe(before['1/model.onnx']);
    });
  });
});

test('neither is code added as weights, nor are weights put into a module', async () => {
  await expect(add(root.write('index.ts', 'export default 1'))).rejects.toThrow(/is code/);
  const { folder } = await initModule(repository, 'waves');
  const before = contentOf(folder);
  await expect(add(file, 'waves', true)).rejects.toThrow(/waves is a module: .*folder 2/);
  expect(contentOf(folder)).toEqual(before);
});
