// The tests of Debian's libonnx-testdata: which are run, and what each holds.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { readTensorProto } from './tensor-proto.mjs';

const require = createRequire(import.meta.url);
const { readGraph } = require('@cabstand/model');

/** All tests, by `group/name`. */
export function listTests(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((group) => group.isDirectory())
    .flatMap(({ name: group }) =>
      readdirSync(path.join(folder, group))
        .filter((name) => existsSync(path.join(folder, group, name, 'model.onnx')))
        .map((name) => `${group}/${name}`),
    )
    .sort();
}

/**
 * `count` of them at equal distances in the sorted list, which has the tests of an operator side by side,
 * from a place on that the seed says. A prime beside the list's length spreads seeds well.
 */
export function chooseTests(tests, count, seed) {
  if (count >= tests.length) return tests;
  const start = (seed * 7919) % tests.length;
  return Array.from({ length: count }, (_, index) => {
    return tests[(start + Math.floor((index * tests.length) / count)) % tests.length];
  }).sort();
}

/**
 * A test with its data, in the order of the file's inputs and outputs. Inputs that have a default come
 * behind the others in these files, and have no data. `odd` says why a value is no tensor.
 */
export async function readTest(folder, test) {
  const file = path.join(folder, test, 'model.onnx');
  const { inputs, outputs } = await readGraph(file);
  const data = path.join(folder, test, 'test_data_set_0');
  const read = (kind) => (value, index) => {
    if (value.kind !== 'tensor') return { name: value.name, odd: `a ${value.kind}` };
    const bytes = readFileSync(path.join(data, `${kind}_${index}.pb`));
    return { name: value.name, tensor: readTensorProto(bytes, value.name) };
  };
  return { test, file, inputs: inputs.map(read('input')), outputs: outputs.map(read('output')) };
}
