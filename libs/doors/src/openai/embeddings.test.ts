import { CabstandError, FakeClock } from '@cabstand/core';
import { tensorOf } from '@cabstand/tensor';
import type { GenerationFacts, ModelFacts, ServedRecord, Serving, TurnAsk } from '../serving';
import { openAiModels } from './models';
import { OPENAI_CALLS } from './routes';

const spec = { shape: [-1], description: '', labels: [] } as const;
const MODEL = {
  ...{ name: 'm', kind: 'stateless', state: 'ready', parameters: [] },
  inputs: [{ ...spec, name: 'text', dtype: 'string' }],
  outputs: [{ ...spec, name: 'embedding', dtype: 'float32', shape: [-1, 2] }],
} as unknown as ModelFacts;

interface Script {
  readonly model?: ModelFacts;
  readonly generation?: GenerationFacts;
  readonly error?: CabstandError;
  /** Numbers for each text. Default: 0.1, and the place of the text. */
  readonly rows?: number;
}

/** A model whose vectors tell the place of their text, and what was asked of it. */
function scripted({ model = MODEL, generation, error, rows }: Script = {}) {
  const asked: TurnAsk[] = [];
  async function* runTurn(ask: TurnAsk): AsyncGenerator<ServedRecord> {
    asked.push(ask);
    await Promise.resolve();
    if (error === undefined) {
      const count = rows ?? ask.input.tensors[0]?.strings?.length ?? 0;
      const values = Float32Array.from({ length: 2 * count }, (_, at) => (at % 2 ? at >> 1 : 0.1));
      const tensors = [tensorOf('embedding', values, [count, 2])];
      yield { kind: 'chunk', position: 0, index: 0, text: '', tensors };
    }
    const reason = error === undefined ? 'completed' : 'error';
    yield { kind: 'end', position: 1, steps: 1, note: '', reason, error, generation };
  }
  const serving = { model: () => Promise.resolve(model), runTurn } as unknown as Serving;
  const call = async (body: unknown): Promise<object | undefined> =>
    await OPENAI_CALLS.get('/v1/embeddings')?.({
      ...{ serving, clock: new FakeClock(), signal: new AbortController().signal },
      caller: { principal: { id: 'a', roles: new Set(['client'] as const) } },
      body: () => Promise.resolve(body),
      out: { write: () => Promise.reject(new Error('no stream was asked for')) },
    });
  return { asked, call };
}

test('each text has its vector, in order, and the tokens are those that the model read', async () => {
  const generation = { prompt: 7, cached: 0, answer: 0 };
  const { asked, call } = scripted({ generation });
  const tenth = Math.fround(0.1);
  expect(await call({ model: 'm', input: ['a', 'b'], user: 'u', dimensions: null })).toEqual({
    object: 'list',
    data: [
      { object: 'embedding', index: 0, embedding: [tenth, 0] },
      { object: 'embedding', index: 1, embedding: [tenth, 1] },
    ],
    ...{ model: 'm', usage: { prompt_tokens: 7, total_tokens: 7 } },
  });
  expect(asked).toMatchObject([
    { model: 'm', input: { prompt: '', parameters: {}, tensors: [{ name: 'text', shape: [2] }] } },
  ]);
  expect(asked[0]?.input.tensors[0]?.strings).toEqual(['a', 'b']);
});

test('base64 is of float32, little-endian; without the model’s word there is no usage', async () => {
  const { call } = scripted();
  const answer = await call({ model: 'm', input: 'a', encoding_format: 'base64' });
  const bytes = Buffer.alloc(8);
  bytes.writeFloatLE(0.1);
  const embedding = bytes.toString('base64');
  expect(answer).toMatchObject({ data: [{ index: 0, embedding }], usage: null });
});

test.each([
  [undefined, 'body'],
  [{ model: 'm' }, 'input'],
  [{ model: 'm', input: [] }, 'input'],
  [{ model: 'm', input: [1, 2] }, 'input'],
  [{ model: 'm', input: [[1, 2], [3]] }, 'input'],
  [{ model: 'm', input: ['a', 1] }, 'input'],
  [{ model: 'm', input: Array<string>(2049).fill('a') }, 'input'],
  [{ model: 'm', input: 'a', encoding_format: 'int8' }, 'encoding_format'],
])('%j is refused by the name of the field', async (body, field) => {
  const { asked, call } = scripted();
  await expect(call(body)).rejects.toMatchObject({
    ...{ reason: 'INVALID_ARGUMENT', metadata: { field } },
  });
  expect(asked).toEqual([]);
});

test('who sends ids of tokens is told that texts are taken', async () => {
  await expect(scripted().call({ model: 'm', input: [[5, 6]] })).rejects.toThrow(
    /^input: got \[\[5,6\]\]: .*ids of tokens are not taken/,
  );
});

test('a parameter that the model does not have is refused', async () => {
  const { call } = scripted();
  await expect(call({ model: 'm', input: 'a', dimensions: 1 })).rejects.toMatchObject({
    ...{ reason: 'PARAMETER_INVALID', metadata: { field: 'dimensions' } },
  });
});

const OTHERS: readonly Partial<ModelFacts>[] = [
  { kind: 'generator' },
  { inputs: [{ ...spec, name: 'x', dtype: 'float32' }] },
  { inputs: [...MODEL.inputs, ...MODEL.inputs] },
  { outputs: [{ ...spec, name: 'scores', dtype: 'float32' }] },
];

test('models that make no embeddings are refused, and not listed', async () => {
  for (const other of OTHERS) {
    const model = { ...MODEL, ...other };
    const { call } = scripted({ model });
    await expect(call({ model: 'm', input: 'a' })).rejects.toMatchObject({
      ...{ reason: 'INVALID_ARGUMENT', metadata: { field: 'model', value: '"m"' } },
    });
    expect(openAiModels([model])).toEqual([]);
  }
  expect(openAiModels([MODEL])).toMatchObject([{ id: 'm' }]);
});

test('what a turn fails with is told, and so is an answer without a vector for each text', async () => {
  const error = new CabstandError('LIMIT_EXCEEDED', 'too long');
  await expect(scripted({ error }).call({ model: 'm', input: 'a' })).rejects.toBe(error);
  await expect(scripted({ rows: 1 }).call({ model: 'm', input: ['a', 'b'] })).rejects.toMatchObject(
    { reason: 'INTERNAL' },
  );
});
