import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { onnxModel } from '@cabstand/testing';
import { Folder } from '../folder.fixture';
import { modelReportJson, modelReportText } from '../render/model-report';
import { createStyle } from '../render/style';
import { initModule } from './init-module';
import { checkAll, isFine, problemsIn } from './check';
import type { ModelReport } from './check';

const root = new Folder();
afterAll(() => root.remove());

const style = createStyle(false);

/** Rows that know of each other: the largest of all is added to each. */
const leaky = onnxModel({
  inputs: [{ name: 'x', dtype: 'float32', dims: ['n', 2] }],
  outputs: [{ name: 'y', dtype: 'float32', dims: ['n', 2] }],
  nodes: [
    { op: 'ReduceMax', inputs: ['x'], outputs: ['m'], attributes: { keepdims: 0 } },
    { op: 'Add', inputs: ['x', 'm'], outputs: ['y'] },
  ],
});

function place(file: string, content: string | Uint8Array): string {
  mkdirSync(path.dirname(path.join(root.path, file)), { recursive: true });
  return root.write(file, content);
}

async function check(where: string, audit?: string[]): Promise<ModelReport[]> {
  const options = { signal: new AbortController().signal, progress: () => undefined, audit };
  const reports: ModelReport[] = [];
  for await (const report of checkAll(where, options)) reports.push(report);
  return reports;
}

test('a bare file is loaded and verified as a hoster would, and says what it will be', async () => {
  const [report] = await check(place('leaky.onnx', leaky));
  expect(report).toMatchObject({
    ...{ ok: true, name: 'leaky' },
    loaded: { batchClass: 'unbatched', reference: 'self' },
  });
  expect(modelReportText(report!, style)).toMatch(
    /^ok {4}leaky: v1, stateless, unbatched: .+, reference self, largest difference 0/,
  );
  expect(modelReportJson(report!)).toMatchObject({ ok: true, batch_class: 'unbatched' });
}, 30_000);

test('recorded inputs run together and alone', async () => {
  const file = place('net.onnx', leaky);
  const recorded = place('recorded.json', '[{"x":[[1,2]]},{"x":[[3,4],[5,6]]}]');
  const [report] = await check(file, [recorded]);
  expect(report).toMatchObject({ ok: true, audit: { sessions: 2, difference: '' } });
  expect(isFine(report!)).toBe(true);
  await expect(check(file, [place('wrong.json', '{"z":[[1,2]]}')])).rejects.toThrow(/wrong\.json/);
}, 30_000);

test('every model of a repository is told of, and all that is wrong with one at once', async () => {
  place('models/good/1/model.onnx', leaky);
  place('models/bad/1/model.onnx', leaky);
  place('models/bad/model.yaml', 'kindd: stateless\nlimits: { max_input_bytes: many }\n');
  const [bad, good] = await check(path.join(root.path, 'models'));
  expect(good).toMatchObject({ ok: true, name: 'good' });
  expect(bad).toMatchObject({ ok: false, name: 'bad', reason: 'MANIFEST_INVALID' });
  const file = path.join(root.path, 'models/bad/model.yaml');
  const text = modelReportText(bad!, style);
  expect(text).toContain('FAIL  bad: MANIFEST_INVALID, 2 problems\n');
  expect(text).toMatch(new RegExp(`${file}: limits\\.max_input_bytes: got "many", expected`));
  expect(text).toMatch(new RegExp(`${file}: kindd: .*did you mean kind`));
}, 30_000);

test('a loose file that cannot be read is named as it was given', async () => {
  const file = place('text.onnx', 'no graph');
  const [report] = await check(file);
  expect(report).toMatchObject({ ok: false });
  const text = modelReportText(report!, style);
  expect(text).toContain(file);
  expect(text).not.toContain('cabstand-check-');
});

test('problems are taken apart, each with its file', () => {
  expect(problemsIn('m.yaml: 2 problems:\n  a: got 1\n  b: got 2')).toEqual([
    'm.yaml: a: got 1',
    'm.yaml: b: got 2',
  ]);
  expect(problemsIn('one\nmessage')).toEqual(['one\nmessage']);
});

test('a module is loaded, and what is said of it is what it is', async () => {
  const { folder } = await initModule(root.path, 'waves');
  const [report] = await check(folder, ['nothing.npz']);
  expect(modelReportText(report!, style)).toMatch(
    /^ok {4}waves: v1, module, survival replay, commands set_colour: .*`cabstand module test waves`/,
  );
  expect(modelReportJson(report!)).toMatchObject({
    ...{ ok: true, kind: 'module', survival: 'replay' },
    commands: [{ name: 'set_colour' }],
  });
  expect(modelReportJson(report!)).not.toHaveProperty('reference');
  place('waves/1/index.ts', 'export default class Waves {\n  static load( {}\n}\n');
  const [broken] = await check(folder);
  expect(broken).toMatchObject({ ok: false, reason: 'MODULE_FAILED' });
  expect(broken).toMatchObject({
    problems: [expect.stringMatching(/^index\.ts:[23]:\d+: .*ParseError/)],
  });
}, 30_000);
