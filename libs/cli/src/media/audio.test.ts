import path from 'node:path';
import type { v1 } from '@cabstand/rpc';
import { UsageError } from '../errors';
import { Folder } from '../folder.fixture';
import { wavSource, whole } from './audio';
import { FramedCount } from './short-input';

const folder = new Folder();
afterAll(() => folder.remove());

const spec = {
  name: 'audio',
  dtype: 'DATA_TYPE_FLOAT32',
  shape: [-1],
  media: 'audio',
  audio: { sample_rate: 8_000 },
} as unknown as v1.TensorSpec__Output;
const framed = { input: 'audio', axis: 0, frame: 512, hop: 512, remainder: 'keep' };
const model = {
  inputs: [spec],
  frame_hop: 512,
  framing: [framed],
} as unknown as v1.ModelInfo__Output;
const speech = path.resolve(__dirname, '../../../../test/assets/speech.wav');

test('a recording of another rate is converted, and it is said', async () => {
  const audio = await wavSource(speech, model);
  expect(audio.converted).toBe(`${speech}: 16000 Hz resampled to 8000 Hz`);
  const tensor = await whole(audio);
  await audio.close();
  // 11.59 s, as the recording lasts.
  expect(tensor.shape[0]! / 8_000).toBeCloseTo(11.59, 1);
  expect(tensor).toMatchObject({ name: 'audio', dtype: 'float32' });
});

test('of a recording that is as the model takes it nothing is said', async () => {
  const media = { ...spec, audio: { sample_rate: 16_000 } };
  const audio = await wavSource(speech, { ...model, inputs: [media] });
  expect(audio.converted).toBeUndefined();
  await audio.close();
});

test('what is no WAV file is wrong usage, with the way to make one', async () => {
  const file = folder.write('x.wav', 'ID3');
  const opening = wavSource(file, model);
  await expect(opening).rejects.toBeInstanceOf(UsageError);
  await expect(opening).rejects.toThrow(/x\.wav is not a WAV file.*ffmpeg/);
});

test('input shorter than a frame is named with both numbers', () => {
  const count = new FramedCount(model);
  const part = (items: number) => ({
    ...{
      name: 'audio',
      dtype: 'float32' as const,
      shape: [items],
      data: new Uint8Array(4 * items),
    },
  });
  count.add([part(60)]);
  count.add([part(40)]);
  expect(count.tooShort).toBe('no records: audio has 100 samples, one frame takes 512');
  count.add([part(412)]);
  expect(count.tooShort).toBeUndefined();
  expect(new FramedCount({ ...model, framing: [] }).tooShort).toBeUndefined();
});
