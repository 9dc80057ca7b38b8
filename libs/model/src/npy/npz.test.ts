import { randomBytes } from 'node:crypto';
import { zipSync } from 'fflate';
import { tensorFrom, tensorOf } from '@cabstand/tensor';
import { readNpz, writeNpz } from './npz';

const archive = writeNpz([
  tensorFrom('a', 'int64', [1, 2 ** 40]),
  tensorFrom('b/c', 'float32', [], [0, 3]),
  tensorOf('noise', new Uint8Array(randomBytes(3000))),
]);

test('arrays come back under their keys, all or those that are wanted', () => {
  const all = readNpz(archive, 'x.npz');
  expect([...all.keys()]).toEqual(['a', 'b/c', 'noise']);
  expect(all.get('a')).toMatchObject({ dtype: 'int64', shape: [2] });
  expect(all.get('b/c')).toMatchObject({ dtype: 'float32', shape: [0, 3] });
  expect([...readNpz(archive, 'x.npz', new Set(['noise'])).keys()]).toEqual(['noise']);
});

test('an archive that says it is larger than it may be is not unpacked', () => {
  const file = Buffer.from(zipSync({ 'a.npy': new Uint8Array(1000) }));
  // Uncompressed size in the central directory: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.12
  file.writeUInt32LE(2 ** 31, file.indexOf('PK\u0001\u0002') + 24);
  expect(() => readNpz(file, 'x.npz')).toThrow(/x\.npz: arrays of more than 1073741824 bytes/);
});

test.each<[string, Uint8Array, RegExp]>([
  ['other bytes', Buffer.from('hello'), /x\.npz is not an \.npz file/],
  ['a cut file', archive.subarray(0, archive.length - 30), /x\.npz is not an \.npz file/],
  ['no array', zipSync({ 'a.npy': Buffer.from('hello') }), /x\.npz: a\.npy is not a \.npy file/],
])('%s: the error names the file', (_name, file, message) => {
  expect(() => readNpz(file, 'x.npz')).toThrow(message);
});
