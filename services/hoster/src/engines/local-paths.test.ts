import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { CabstandError } from '@cabstand/core';
import type { TurnEnd } from '@cabstand/engine';
import { publicText, WithoutPaths, withoutLocalPaths } from './local-paths';

const model = '/srv/models/vad';
const folders = { model };

test('paths in the repository are written from there on, in text and facts', () => {
  const cause = new Error('/srv/models/vad/1/a.onnx is gone');
  const error = new CabstandError(
    'MODEL_FAILED',
    '/srv/models/vad/1/a.onnx: Load model from /srv/models/vad/1/a.onnx failed; see /srv/models',
    { metadata: { file: '/srv/models/vad/model.yaml', field: 'graphs' }, retryAfterMs: 5, cause },
  );
  const told = withoutLocalPaths(error, folders);
  expect(told).toMatchObject({
    reason: 'MODEL_FAILED',
    message: 'vad/1/a.onnx: Load model from vad/1/a.onnx failed; see models',
    metadata: { file: 'vad/model.yaml', field: 'graphs' },
    retryAfterMs: 5,
  });
  // For the log: the whole paths.
  expect(told.cause).toBe(error);
});

test('an error that names no path is the same one', () => {
  const error = new CabstandError('MODEL_FAILED', 'no provider', { metadata: { a: 'b/srv' } });
  expect(withoutLocalPaths(error, folders)).toBe(error);
});

test('a repository that lies at the root of the disk leaves names alone', () => {
  const error = new CabstandError('MODEL_FAILED', 'cpu/webgpu: /vad/1/a.onnx is no graph');
  expect(withoutLocalPaths(error, { model: '/vad' }).message).toBe(
    'cpu/webgpu: vad/1/a.onnx is no graph',
  );
});

test.each([
  [`cannot make a socket in ${tmpdir()}/cabstand-engines-7/3.sock: EMFILE`, '3.sock: EMFILE'],
  [`open '${homedir()}/.cache/x y/z.json'`, `open 'x y/z.json'`],
  [`${process.cwd()}/a.js:12:3 and (${homedir()})`, `a.js:12:3 and (${path.basename(homedir())})`],
  [`/run/sockets/engine-1/0.sock`, '0.sock'],
])('%s names no folder of this machine', (text, said) => {
  const told = publicText(text, { model, others: ['/run/sockets'] });
  expect(told).toContain(said);
});

test('names that only look like paths stay: nodes of graphs, methods, rates', () => {
  const text =
    'node /encoder/layers.0/MatMul of cabstand.v1/rpc_info at 3/s, /tmpfiles/x and a/tmp/b';
  expect(publicText(text, folders)).toBe(text);
});

const secret = fc.constantFrom(
  model,
  '/srv/models',
  tmpdir(),
  homedir(),
  process.cwd(),
  '/run/sockets',
);
const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,8}$/);
const rest = fc
  .array(name, { maxLength: 4 })
  .map((names) => names.map((one) => `/${one}`).join(''));
const around = fc.constantFrom(
  ['', ''],
  ["ENOENT: no such file, open '", "'"],
  ['Load model from ', ' failed:Protobuf parsing failed.'],
  ['(', ')'],
  ['file=', ', line 3'],
  ['"', '": '],
);

test('whatever an error says, of the folders of this machine it names none', () => {
  const others = ['/run/sockets'];
  const spoken = fc.tuple(secret, rest, around).map(([folder, more, [before, after]]) => ({
    folder,
    text: `${before}${folder}${more}${after}`,
  }));
  fc.assert(
    fc.property(fc.array(spoken, { minLength: 1, maxLength: 3 }), (said) => {
      const text = said.map((one) => one.text).join(' and ');
      const error = withoutLocalPaths(
        new CabstandError('MODEL_FAILED', text, { metadata: { file: text } }),
        { model, others },
      );
      for (const { folder } of said)
        for (const told of [error.message, error.metadata['file'] ?? ''])
          expect(told).not.toMatch(new RegExp(`(^|[\\s'"(=])${folder}(?![\\w.-])`));
    }),
  );
});

test('what an engine says of a turn or at its end reaches its session without paths', () => {
  const told: unknown[] = [];
  const sink = new WithoutPaths(
    {
      ...{ chunk: () => undefined, inputTaken: () => undefined, snapshot: () => undefined },
      ...{ record: () => undefined, held: () => undefined, notice: () => undefined },
      endOfTurn: (_turn, end) => void told.push(end),
      failed: (error) => void told.push(error),
    },
    folders,
  );
  const message = `${model}/1/a.onnx: cannot open ${tmpdir()}/x/y.bin`;
  const end: TurnEnd = {
    ...{ reason: 'error', steps: 3 },
    error: { reason: 'INTERNAL', message, metadata: { file: `${model}/1/a.onnx` } },
  };
  sink.endOfTurn(0, end);
  sink.endOfTurn(0, { reason: 'completed', steps: 1 });
  sink.failed(new CabstandError('ENGINE_CRASHED', message));
  expect(told).toMatchObject([
    {
      ...{ reason: 'error', steps: 3 },
      error: {
        ...{ reason: 'INTERNAL', message: 'vad/1/a.onnx: cannot open y.bin' },
        metadata: { file: 'vad/1/a.onnx' },
      },
    },
    { reason: 'completed', steps: 1 },
    { reason: 'ENGINE_CRASHED', message: 'vad/1/a.onnx: cannot open y.bin' },
  ]);
});
