/** Who may only call a model learns what kind of thing is wrong, and nothing of files beside the manifest. */
import { CabstandError } from '@cabstand/core';
import { manifestProblem } from '@cabstand/model';
import { toldToCallers, wholeError, wholeText } from './told';

const folders = { model: '/srv/models/m' };
const told = (error: CabstandError): CabstandError => toldToCallers(error, folders);

test('of a manifest key and value are told, cut, and the file from its folder on', () => {
  const error = manifestProblem('/srv/models/m/model.yaml', 'kind', 'x'.repeat(500), 'a kind');
  expect(told(error).message).toBe(`m/model.yaml: kind: got "${'x'.repeat(59)}…, expected a kind`);
  // Administrators get it in full, but for the folders of this machine.
  const whole = wholeError(told(error));
  expect(whole.message).toBe(error.message.replace('/srv/models/', ''));
  expect(wholeText(told(error))).toBe(whole.message);
});

test.each([
  ['model.yaml', '(root)', 'root:x:0:0:root:/root:/bin/bash', 'object'],
  ['golden.json', 'sequences.0', 'root:x:0:0', 'an object'],
  ['1/letters.json', '(file)', 'root:x:0:0', 'a list, not root:x:0:0'],
])('nothing of the text of %s at %s is told', (file, field, value, expected) => {
  const error = told(manifestProblem(`/srv/models/m/${file}`, field, value, expected));
  expect(error.message).toMatch(new RegExp(`^m/${file}: .*cannot be used$`));
  expect(JSON.stringify([error.message, error.metadata])).not.toContain('root:x');
  expect(error.metadata['file']).toBe(`m/${file}`);
});

test('an error of the parser is told by its line', () => {
  const error = new CabstandError('MANIFEST_INVALID', '/srv/models/m/model.yaml:3:1: secret', {
    metadata: { file: '/srv/models/m/model.yaml', field: 'line 3', expected: 'YAML' },
  });
  expect(told(error).message).toBe('m/model.yaml: line 3: not right, expected YAML');
});

test('paths of the machine are told by their last name, others stay', () => {
  const text =
    'no /opt/secret/lib/libcuda.so.1 and /srv/models/m/1/a.onnx: https://a.org/b/c a/b/c';
  expect(told(new CabstandError('MODEL_FAILED', text)).message).toBe(
    'no …/libcuda.so.1 and m/1/a.onnx: https://a.org/b/c a/b/c',
  );
});

test('an error that wraps one has the text of both for administrators', () => {
  const inner = told(manifestProblem('/srv/models/m/golden.json', 'a', 'b', 'c'));
  const outer = new CabstandError('MODEL_FAILED', 'it died', { cause: inner });
  expect(wholeText(outer)).toBe('it died: m/golden.json: a: got "b", expected c');
});
