import path from 'node:path';
import type { InputSpec } from '@cabstand/model';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { UsageError } from '../errors';
import { wavSamples } from '../media/audio';
import { imageTensor } from '../media/image';
import { loadTensor, parseTensorSource } from '../media/tensor-file';

const PICTURES = new Set(['.png', '.jpg', '.jpeg', '.webp', '.gif', '.tiff', '.avif']);

/**
 * Reads `name=FILE` as the model takes it: .wav and pictures as their media say, anything else as
 * `--tensor` does.
 */
export async function goldenTensor(
  value: string,
  inputs: readonly Pick<InputSpec, 'name' | 'dtype' | 'shape' | 'media'>[],
): Promise<Tensor> {
  const equals = value.indexOf('=');
  const name = value.slice(0, equals);
  const file = value.slice(equals + 1);
  const spec = inputs.find((input) => input.name === name);
  if (equals < 1 || spec === undefined)
    throw new UsageError(
      `${value}: ${equals < 1 ? 'expected NAME=FILE' : `the model has no ${name}`}`,
      `It has ${inputs.map((input) => input.name).join(', ') || 'none'}.`,
    );
  const extension = path.extname(file).toLowerCase();
  if (extension === '.wav') return wavTensor(file, spec);
  if (!PICTURES.has(extension)) return loadTensor(parseTensorSource(value), spec.dtype);
  if (spec.media?.kind !== 'image')
    throw new UsageError(
      `${file}: ${name} takes no picture`,
      'Its manifest needs media: { image: … }, which says how pixels become numbers.',
    );
  return imageTensor(name, file, spec.media);
}

async function wavTensor(
  file: string,
  { name, media, shape }: Pick<InputSpec, 'name' | 'shape' | 'media'>,
): Promise<Tensor> {
  if (media?.kind !== 'audio')
    throw new UsageError(
      `${file}: ${name} takes no audio`,
      'Its manifest needs media: { audio: { sample_rate: … } }.',
    );
  const samples = await wavSamples(file, media.sampleRate);
  // Samples are the last dimension; others (a batch, a channel) are 1.
  return tensorOf(name, samples, [...shape.slice(0, -1).map(() => 1), samples.length]);
}
