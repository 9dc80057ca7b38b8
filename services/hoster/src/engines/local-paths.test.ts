import { CabstandError } from '@cabstand/core';
import { withoutLocalPaths } from './local-paths';

const folder = '/srv/models/vad';

test('paths in the repository are written from there on, in text and facts', () => {
  const cause = new Error('/srv/models/vad/1/a.onnx is gone');
  const error = new CabstandError(
    'MODEL_FAILED',
    '/srv/models/vad/1/a.onnx: Load model from /srv/models/vad/1/a.onnx failed; see /srv/models',
    { metadata: { file: '/srv/models/vad/model.yaml', field: 'graphs' }, retryAfterMs: 5, cause },
  );
  const told = withoutLocalPaths(error, folder);
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
  expect(withoutLocalPaths(error, folder)).toBe(error);
});

test('a repository that lies at the root of the disk leaves names alone', () => {
  const error = new CabstandError('MODEL_FAILED', 'cpu/webgpu: /vad/1/a.onnx is no graph');
  expect(withoutLocalPaths(error, '/vad').message).toBe('cpu/webgpu: vad/1/a.onnx is no graph');
});
