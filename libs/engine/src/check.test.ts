import { join } from 'node:path';
import { checkModel } from './check';
import { SHARED } from './engine.fixture';
import { MadeModel, ROWS, floats, node, rowGraph } from './verify/verify.fixture';

jest.setTimeout(60_000);

const scalar = (name: string, value: number) => ({
  ...{ name, dtype: 'float32' as const, shape: [], values: [value] },
});

const turn = (...x: number[]) => ({
  ...{ prompt: '', parameters: {}, inputs: [floats('x', x, [x.length / 2, 2])] },
});

test('a model is loaded as an engine would, and says what it does', async () => {
  const stages: string[] = [];
  const result = await checkModel(join(SHARED, 'accumulator'), {
    onProgress: (stage) => stages.push(stage),
  });
  expect(result).toMatchObject({
    ok: true,
    loaded: { provider: 'cpu', batchClass: 'exact', reference: 'golden' },
    audit: undefined,
  });
  expect(stages[0]).toBe('loading');
  expect(stages.some((stage) => stage.startsWith('verifying'))).toBe(true);
});

test('all providers of a manifest are tried: what this machine lacks is told, and no failure', async () => {
  for (const providers of ['[cuda, cpu]', '[cpu, cuda]']) {
    using made = new MadeModel(
      rowGraph([node('Identity', ['x'], ['y'])]),
      `${ROWS}providers: ${providers}\n`,
    );
    expect(await checkModel(made.folder)).toMatchObject({
      ok: true,
      loaded: { provider: 'cpu' },
      others: [{ provider: 'cuda', ok: false, error: { reason: 'MODEL_FAILED' } }],
    });
  }
});

test('a folder without a model, and a graph that is none, are results', async () => {
  expect(await checkModel('/nowhere')).toMatchObject({ ok: false });
  using made = new MadeModel(rowGraph([node('Nonsense', ['x'], ['y'])]), ROWS);
  const result = await checkModel(made.folder);
  expect(result).toMatchObject({ ok: false, error: { reason: 'MODEL_FAILED' } });
  expect(result.ok ? '' : result.error.message).toMatch(/Nonsense/);
});

test('a graph that takes ONNX Runtime’s process down does not take ours', async () => {
  // The least int64 by -1 is a floating-point exception: ONNX Runtime computes it while it loads.
  const nodes = [
    node('Div', ['least', 'minus'], ['quotient']),
    node('Cast', ['quotient'], ['number'], { to: 1 }),
    node('Add', ['x', 'number'], ['y']),
  ];
  using made = new MadeModel(
    rowGraph(nodes, [
      { name: 'least', dtype: 'int64', shape: [1], values: [-(2n ** 63n)] },
      { name: 'minus', dtype: 'int64', shape: [1], values: [-1n] },
    ]),
    ROWS,
  );
  const result = await checkModel(made.folder, { provider: 'cpu' });
  expect(result.ok ? '' : result.error.message).toMatch(/ended its process \(signal SIG/);
});

test('a graph that does so over an input that was made up is served untried', async () => {
  // Ones and zeros are made up among others; the least int64 by -1 is what some of them lead to.
  const nodes = [
    node('Cast', ['x'], ['whole'], { to: 7 }),
    node('Equal', ['whole', 'one'], ['same']),
    node('Where', ['same', 'minus', 'one'], ['by']),
    node('Div', ['least', 'by'], ['quotient']),
    node('Cast', ['quotient'], ['y'], { to: 1 }),
  ];
  using made = new MadeModel(
    rowGraph(nodes, [
      { name: 'least', dtype: 'int64', shape: [1], values: [-(2n ** 63n)] },
      { name: 'minus', dtype: 'int64', shape: [1], values: [-1n] },
      { name: 'one', dtype: 'int64', shape: [1], values: [1n] },
    ]),
    ROWS,
  );
  const result = await checkModel(made.folder, { provider: 'cpu' });
  expect(result).toMatchObject({
    ok: true,
    loaded: { batchClass: 'unbatched', reference: 'none' },
  });
  expect(result.ok && result.loaded.unbatchedBecause).toMatch(/SIG/);
});

test('recorded turns run together and alone, and must give the same', async () => {
  const nodes = [
    node('ReduceMax', ['x'], ['most'], { keepdims: 0 }),
    node('Greater', ['most', 'limit'], ['above']),
    node('Cast', ['above'], ['one'], { to: 1 }),
    node('Add', ['x', 'one'], ['y']),
  ];
  using made = new MadeModel(rowGraph(nodes, [scalar('limit', 50_000)]), ROWS);
  const fine = await checkModel(made.folder, { audit: [[turn(1, 2)], [turn(3, 4), turn(5, 6)]] });
  expect(fine).toMatchObject({
    ok: true,
    loaded: { batchClass: 'exact', reference: 'self' },
    audit: { sessions: 2, difference: '' },
  });
  const rare = await checkModel(made.folder, { audit: [[turn(1, 2)], [turn(60_000, 4)]] });
  expect(rare).toMatchObject({
    ok: true,
    audit: { difference: 'sequence 0, record 0, output y[0, 0]: 2 among others, 1 alone' },
  });
});

test('it is judged by the messages of the hosters that are to serve it', async () => {
  expect(await checkModel(join(SHARED, 'accumulator'), { maxMessageBytes: 1000 })).toMatchObject({
    ok: false,
    error: { reason: 'MODEL_FAILED', metadata: { limit_bytes: '1000' } },
  });
});
