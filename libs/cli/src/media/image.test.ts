import path from 'node:path';
import sharp from 'sharp';
import { float32Of } from '@cabstand/tensor';
import { imageTensor, normalize } from './image';
import type { ImageLayout } from './image';
import { Folder } from '../folder.fixture';

const folder = new Folder();
afterAll(() => folder.remove());
const assets = path.resolve(__dirname, '../../../../test/assets');

const plain: ImageLayout = {
  width: 2,
  height: 1,
  channels: 'rgb',
  layout: 'nchw',
  mean: [0, 0, 0],
  std: [1, 1, 1],
  fit: 'stretch',
};
const redBlue = Uint8Array.of(255, 0, 0, 0, 0, 255);

test('layouts and channel orders put each value in its place', () => {
  expect([...normalize(redBlue, 2, plain)]).toEqual([1, 0, 0, 0, 0, 1]);
  expect([...normalize(redBlue, 2, { ...plain, channels: 'bgr' })]).toEqual([0, 1, 0, 0, 1, 0]);
  expect([...normalize(redBlue, 2, { ...plain, layout: 'nhwc' })]).toEqual([1, 0, 0, 0, 0, 1]);
});

test('mean and standard deviation belong to the channel as sent', () => {
  const target = {
    ...plain,
    width: 1,
    channels: 'bgr',
    mean: [0.5, 0, 1],
    std: [0.5, 1, 2],
  } as const;
  expect([...normalize(Uint8Array.of(255, 0, 0), 1, target)]).toEqual([-1, 0, 0]);
});

test('a padded picture keeps its proportions at the left; the rest is 0', async () => {
  const file = folder.write(
    'white.png',
    await sharp({ create: { width: 10, height: 20, channels: 3, background: 'white' } })
      .png()
      .toBuffer(),
  );
  const target: ImageLayout = {
    ...plain,
    width: 8,
    height: 4,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
    fit: 'pad',
  };
  const tensor = await imageTensor('image', file, target);
  expect(tensor.shape).toEqual([1, 3, 4, 8]);
  expect([...float32Of(tensor).subarray(0, 8)]).toEqual([1, 1, 0, 0, 0, 0, 0, 0]);
  const stretched = await imageTensor('image', file, { ...target, fit: 'stretch' });
  expect([...float32Of(stretched).subarray(0, 8)]).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
});

test('a picture wider than the field is squeezed into it', async () => {
  const target = { ...plain, width: 192, height: 48, fit: 'pad' } as const;
  const tensor = await imageTensor('image', path.join(assets, 'text-wide.png'), target);
  expect(tensor.shape).toEqual([1, 3, 48, 192]);
});

test('grey and transparent pictures become RGB on white', async () => {
  const file = folder.write(
    'clear.png',
    await sharp({ create: { width: 2, height: 1, channels: 4, background: '#00000000' } })
      .png()
      .toBuffer(),
  );
  expect([...float32Of(await imageTensor('x', file, plain))]).toEqual([1, 1, 1, 1, 1, 1]);
  const grey = folder.write(
    'grey.png',
    await sharp(Buffer.from([0, 255]), { raw: { width: 2, height: 1, channels: 1 } })
      .png()
      .toBuffer(),
  );
  expect([...float32Of(await imageTensor('x', grey, plain))]).toEqual([0, 1, 0, 1, 0, 1]);
});

test('what is no picture is named', async () => {
  const file = folder.write('no.png', 'hello');
  await expect(imageTensor('x', file, plain)).rejects.toThrow(/cannot read .*no\.png as a picture/);
});
