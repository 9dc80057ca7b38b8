import type { v1 } from '@cabstand/rpc';
import type { Connection } from './connection';
import { ModelWatch } from './model-watch';

const model = (name: string, state: v1.ModelInfo__Output['state'], failure = '') =>
  ({ offer: { name }, state, failure }) as v1.ModelInfo__Output;

function watch(models: readonly v1.ModelInfo__Output[] | undefined): {
  readonly watch: ModelWatch;
  readonly told: string[];
} {
  const told: string[] = [];
  const connection = {
    info: () =>
      models === undefined ? Promise.reject(new Error('not yet')) : Promise.resolve({ models }),
  } as unknown as Connection;
  const named = (message: string): string => message.replace('/made/', '/own/');
  return { watch: new ModelWatch({ connection, tell: (what) => told.push(what), named }), told };
}

test('a failure is told once, whichever hoster has it, with the file as the user knows it', async () => {
  const { watch: models, told } = watch([
    model('a', 'MODEL_STATE_FAILED', 'a: /made/a.onnx: no\u001b[2J graph\nmore'),
    model('b', 'MODEL_STATE_READY'),
  ]);
  expect(await models.look('one')).toBe('');
  expect(await models.look('two')).toBe('');
  expect(told).toEqual(['cannot serve a: /own/a.onnx: no\ufffd[2J graph\n  more']);
});

test('who still loads is named, the busy ones first and not all of many', async () => {
  const { watch: models, told } = watch([
    model('a', 'MODEL_STATE_LOADING'),
    model('b', 'MODEL_STATE_LOADING'),
    model('c', 'MODEL_STATE_VERIFYING'),
    model('d', 'MODEL_STATE_LOADING'),
    model('e', 'MODEL_STATE_LOADING'),
  ]);
  expect(await models.look('one')).toBe('c (verifying), a (loading), b (loading) and 2 more');
  expect(told).toEqual([]);
});

test('where nothing is left all reasons are one error; a hoster that is silent has failed nothing', async () => {
  const { watch: models } = watch([model('a', 'MODEL_STATE_FAILED', 'why')]);
  expect(await models.nothing('one')).toMatchObject({
    ...{ reason: 'MODEL_FAILED', message: 'no model can be served\n  a: why' },
  });
  expect(await watch(undefined).watch.look('one')).toBe('');
});
