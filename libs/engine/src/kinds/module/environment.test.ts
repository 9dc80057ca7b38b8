/** What an author's `load` may ask for. */
import path from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { SHARED } from '../../engine.fixture';
import { authorLog } from './author-log';
import { environment } from './environment';
import type { Environment } from './environment';

const FILE = 'accumulator.onnx';
const data = {
  folder: path.join(SHARED, 'accumulator/1'),
  config: { volume: 11 },
  provider: 'cpu',
  threads: 2,
};

function made(signal = new AbortController().signal): { env: Environment; stages: string[] } {
  const stages: string[] = [];
  const log = authorLog(() => undefined);
  return { env: environment(data, log, signal, (stage) => stages.push(stage)), stages };
}

afterEach(() => jest.restoreAllMocks());

test('sessions have the author’s options, but the provider and threads that the hoster gives', async () => {
  const create = jest.spyOn(InferenceSession, 'create');
  const { env, stages } = made();
  const session = await env.createSession(FILE, {
    graphOptimizationLevel: 'basic',
    executionProviders: ['cuda'],
    intraOpNumThreads: 64,
  });
  expect(session.inputNames.length).toBeGreaterThan(0);
  expect(create.mock.calls).toEqual([
    [
      path.join(data.folder, FILE),
      expect.objectContaining({
        graphOptimizationLevel: 'basic',
        executionProviders: ['cpu'],
        intraOpNumThreads: 2,
      }),
    ],
  ]);
  expect(stages).toEqual([`loading ${FILE}`]);
  expect(env.config).toEqual({ volume: 11 });
});

test('a file that is not there is named', async () => {
  await expect(made().env.createSession('none.onnx')).rejects.toMatchObject({
    reason: 'MODEL_FAILED',
    message: expect.stringContaining('none.onnx') as string,
  });
});

test('a load that was given up makes no more sessions', async () => {
  const { env } = made(AbortSignal.abort(new Error('given up')));
  await expect(env.createSession(FILE)).rejects.toThrow('given up');
});
