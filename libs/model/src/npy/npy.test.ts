import { arrayOf, elementCount, tensorFrom } from '@cabstand/tensor';
import fc from 'fast-check';
import { readNpy, writeNpy } from './npy';

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
  const tensor = readNpy('x', file, 'x.npy');
  expect(tensor).toMatchObject({ name: 'x', dtype: 'float32', shape: [2, 3] });
  expect([...arrayOf(tensor)]).toEqual([1, 2, 3, 4, 5, 6]);
});

test('a scalar and a vector have their shapes', () => {
  const scalar = npy("{'descr': '<i8', 'fortran_order': False, 'shape': (), }", Buffer.alloc(8));
  expect(readNpy('x', scalar, 'x.npy')).toMatchObject({ dtype: 'int64', shape: [] });
  const vector = npy("{'descr': '|u1', 'fortran_order': True, 'shape': (3,), }", Buffer.alloc(3));
  expect(readNpy('x', vector, 'x.npy')).toMatchObject({ dtype: 'uint8', shape: [3] });
});

const utf32 = (...texts: string[]): Buffer =>
  Buffer.from(Uint32Array.from(texts.flatMap((text) => Array.from(text, code))).buffer);
const code = (character: string): number => character.codePointAt(0) ?? 0;
const text = (shape: string, data: Buffer): Buffer =>
  npy(`{'descr': '<U3', 'fortran_order': False, 'shape': ${shape}, }`, data);

test('text of fixed width is read, without the zeros that fill it up', () => {
  // As numpy.save writes numpy.array([['abc', 'ü'], ['', '😀\u0000x']]).
  const file = text('(2, 2)', utf32('abc', 'ü\0\0', '\0\0\0', '😀\0x'));
  expect(readNpy('x', file, 'x.npy')).toMatchObject({
    dtype: 'string',
    shape: [2, 2],
    strings: ['abc', 'ü', '', '😀\0x'],
  });
  expect(readNpy('x', text('()', utf32('a\0\0')), 'x.npy')).toMatchObject({
    shape: [],
    strings: ['a'],
  });
  expect(readNpy('x', text('(0, 2)', Buffer.alloc(0)), 'x.npy')).toMatchObject({
    shape: [0, 2],
    strings: [],
  });
});

test('an array without elements is read', () => {
  const file = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", Buffer.alloc(0));
  expect(readNpy('x', file, 'x.npy')).toMatchObject({ dtype: 'float32', shape: [0, 3] });
});

test('a file that NumPy wrote is read', () => {
  // numpy.save(file, numpy.array(['ab', 'é'])), NumPy 2.
  const header = "{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }";
  const file = npy(header.padEnd(117), utf32('ab', 'é\0'));
  expect(file.length).toBe(128 + 16);
  expect(readNpy('x', file, 'x.npy').strings).toEqual(['ab', 'é']);
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
    'Python objects',
    npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", Buffer.alloc(8)),
    /Python objects.*\|O/,
  ],
  [
    'big-endian text',
    npy("{'descr': '>U3', 'fortran_order': False, 'shape': (1,), }", Buffer.alloc(12)),
    /type >U3/,
  ],
  [
    'text of no width',
    npy("{'descr': '<U0', 'fortran_order': False, 'shape': (9999999999,), }", Buffer.alloc(0)),
    /type <U0/,
  ],
  ['missing text', text('(2,)', utf32('abc')), /holds 12 bytes, its shape needs 24/],
  ['half a character', text('(1,)', Buffer.alloc(12, 0xd8)), /no characters/],
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
  expect(() => readNpy('x', file, 'x.npy')).toThrow(message);
});

const anyNumbers = fc
  .record({
    dtype: fc.constantFrom('float32', 'float16', 'int64', 'uint8', 'bool'),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  })
  .map(({ dtype, shape }) =>
    tensorFrom(
      'x',
      dtype,
      Array.from({ length: elementCount(shape) }, (_, index) => index % 2),
      shape,
    ),
  );

test('what is written is read as it was, and laid out as numpy.save does', () => {
  fc.assert(
    fc.property(anyNumbers, (tensor) => {
      const file = writeNpy(tensor);
      const { dtype, shape, data } = readNpy('x', file, 'x.npy');
      expect({ dtype, shape, bytes: Buffer.from(data) }).toEqual({
        dtype: tensor.dtype,
        shape: tensor.shape,
        bytes: Buffer.from(tensor.data),
      });
      expect((file.length - data.length) % 64).toBe(0);
    }),
  );
  const text = writeNpy(tensorFrom('x', 'float32', [1, 2])).toString('latin1', 10, 128);
  expect(text.trimEnd()).toBe("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }");
});
