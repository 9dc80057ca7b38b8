import { arrayOf } from '@cabstand/tensor';
import { parseNpy } from './npy';

function npy(header: string, data: Uint8Array, version = 1): Buffer {
  const text = Buffer.from(`${header}\n`);
  const head = Buffer.alloc(version === 1 ? 10 : 12);
  head.write('\u0093NUMPY', 'latin1');
  head[6] = version;
  if (version === 1) head.writeUInt16LE(text.length, 8);
  else head.writeUInt32LE(text.length, 8);
  return Buffer.concat([head, text, data]);
}

const floats = Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);

test.each([1, 2, 3])('version %i is read', (version) => {
  const file = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", floats, version);
  const tensor = parseNpy('x', file, 'x.npy');
  expect(tensor).toMatchObject({ name: 'x', dtype: 'float32', shape: [2, 3] });
  expect([...arrayOf(tensor)]).toEqual([1, 2, 3, 4, 5, 6]);
});

test('a scalar and a vector have their shapes', () => {
  const scalar = npy("{'descr': '<i8', 'fortran_order': False, 'shape': (), }", Buffer.alloc(8));
  expect(parseNpy('x', scalar, 'x.npy')).toMatchObject({ dtype: 'int64', shape: [] });
  const vector = npy("{'descr': '|u1', 'fortran_order': True, 'shape': (3,), }", Buffer.alloc(3));
  expect(parseNpy('x', vector, 'x.npy')).toMatchObject({ dtype: 'uint8', shape: [3] });
});

test.each([
  ['other bytes', Buffer.from('hello'), /signature/],
  ['version 9', npy('{}', floats, 9), /version 9/],
  ['a cut header', npy("{'descr': '<f4'", floats).subarray(0, 14), /header is cut off/],
  [
    'big endian',
    npy("{'descr': '>f4', 'fortran_order': False, 'shape': (6,), }", floats),
    /type >f4/,
  ],
  [
    'a structure',
    npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", floats),
    /structure/,
  ],
  [
    'Fortran order',
    npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", floats),
    /Fortran order/,
  ],
  [
    'missing bytes',
    npy("{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }", floats),
    /holds 24 bytes, its shape needs 28/,
  ],
  ['no shape', npy("{'descr': '<f4', 'fortran_order': False}", floats), /lacks/],
])('%s: the error names what is wrong', (_name, file, message) => {
  expect(() => parseNpy('x', file, 'x.npy')).toThrow(message);
});
