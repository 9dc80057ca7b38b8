import { writeNpz } from '@cabstand/model';
import { arrayOf, tensorOf } from '@cabstand/tensor';
import { loadTensor, parseTensorSource } from './tensor-file';
import { Folder } from '../folder.fixture';

const folder = new Folder();
afterAll(() => folder.remove());

test('the three forms of --tensor', () => {
  expect(parseTensorSource('x=a/b.npy')).toMatchObject({
    name: 'x',
    path: 'a/b.npy',
    format: 'npy',
  });
  expect(parseTensorSource('x=in.JSON')).toMatchObject({ format: 'json' });
  expect(parseTensorSource('x=in.bin:float32:1x3x2')).toEqual({
    name: 'x',
    path: 'in.bin',
    format: 'raw',
    dtype: 'float32',
    shape: [1, 3, 2],
  });
  expect(parseTensorSource('x=in.bin:int64:')).toMatchObject({ shape: [] });
  expect(parseTensorSource('x=in.bin:int64:0x2')).toMatchObject({ shape: [0, 2] });
});

test.each([
  'x',
  '=f.npy',
  'x=',
  'x=f.txt',
  'x=f.bin:float99:1',
  'x=f.bin:float32:1x1x1x1x1x1x1x1x1',
  'x=f.bin:string:1',
])('--tensor %s is refused', (value) => {
  expect(() => parseTensorSource(value)).toThrow(/--tensor/);
});

test('raw bytes must fill their shape', async () => {
  const file = folder.write('raw.bin', Buffer.alloc(8));
  const good = await loadTensor(parseTensorSource(`x=${file}:float32:2`), undefined);
  expect(good).toMatchObject({ dtype: 'float32', shape: [2] });
  await expect(loadTensor(parseTensorSource(`x=${file}:float32:3`), undefined)).rejects.toThrow(
    /holds 8 bytes; float32 \[3\] needs 12/,
  );
});

test('nested lists give the shape; the model gives the type', async () => {
  const file = folder.write('x.json', '[[1, 2, 3], [4, 5, 6]]');
  const tensor = await loadTensor(parseTensorSource(`x=${file}`), 'int64');
  expect(tensor).toMatchObject({ dtype: 'int64', shape: [2, 3] });
  expect([...arrayOf(tensor)]).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
});

test('a JSON object says type and shape itself', async () => {
  const file = folder.write('y.json', '{"dtype": "uint8", "shape": [2, 1], "data": [7, 255]}');
  expect(await loadTensor(parseTensorSource(`x=${file}`), 'float32')).toMatchObject({
    dtype: 'uint8',
    shape: [2, 1],
    data: Uint8Array.of(7, 255),
  });
});

test('a file of strings is a tensor of strings where the model takes strings', async () => {
  const file = folder.write('words.json', '["one", "two"]');
  expect(await loadTensor(parseTensorSource(`x=${file}`), 'string')).toMatchObject({
    dtype: 'string',
    shape: [2],
    strings: ['one', 'two'],
  });
  const numbers = folder.write('numbers.json', '["one", 2]');
  await expect(loadTensor(parseTensorSource(`x=${numbers}`), 'string')).rejects.toThrow(
    /numbers.json: element 1 is 2; string takes text/,
  );
});

test('an empty file fills a shape without elements', async () => {
  const file = folder.write('empty.bin', Buffer.alloc(0));
  expect(await loadTensor(parseTensorSource(`x=${file}:float32:0x2`), undefined)).toMatchObject({
    shape: [0, 2],
  });
});

test('an array of an npz file is taken by its key, which is the input’s name by default', async () => {
  const file = folder.write(
    'two.npz',
    writeNpz([tensorOf('x', Float32Array.of(1)), tensorOf('other', Float32Array.of(2))]),
  );
  const load = (value: string) => loadTensor(parseTensorSource(value), undefined);
  expect((await load(`x=${file}`)).data).toEqual(tensorOf('x', Float32Array.of(1)).data);
  expect(await load(`x=${file}:other`)).toMatchObject({ name: 'x', dtype: 'float32', shape: [1] });
  await expect(load(`y=${file}`)).rejects.toThrow(/has no array y/);
});
