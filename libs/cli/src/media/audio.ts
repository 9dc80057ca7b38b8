import type { Readable } from 'node:stream';
import { CabstandError } from '@cabstand/core';
import { Wav, audioFrom, audioParts } from '@cabstand/media';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { v1 } from '@cabstand/rpc';
import { UsageError } from '../errors';
import { liveAudio } from './live-audio';

/** Audio on its way to a model, in parts. Close it when done. */
export interface AudioSource {
  readonly parts: AsyncIterable<Tensor>;
  /** How it differs from what was given. */
  readonly converted?: string | undefined;
  close(): Promise<void>;
}

/** Samples of a file sent at once where the model does not say how many it takes: 32 ms at 16 kHz. */
const DEFAULT_PART = 512;
/** Frames of a file that go into one part: fewer messages than one for each frame. */
const FRAMES_PER_PART = 16;

type Spec = v1.TensorSpec__Output;

/** The input of a model that takes audio. Throws a UsageError, saying what the model takes instead. */
function audioInput(model: v1.ModelInfo__Output): Spec {
  const spec = model.inputs.find(({ media }) => media === 'audio');
  if (spec === undefined) throw takesNo(model, 'audio');
  if (spec.dtype !== 'DATA_TYPE_FLOAT32')
    throw new UsageError(
      `${spec.name} takes ${spec.dtype.replace('DATA_TYPE_', '').toLowerCase()}; audio is sent as float32`,
      'Send it with --tensor.',
    );
  return spec;
}

/**
 * A WAV file in parts, as the model takes it: one channel, at its sample rate. Memory does not grow with its
 * length.
 */
export async function wavSource(path: string, model: v1.ModelInfo__Output): Promise<AudioSource> {
  const spec = audioInput(model);
  const wav = await Wav.open(path).catch(refuse);
  const sampleRate = spec.audio?.sample_rate || wav.info.sampleRate;
  const hop = model.frame_hop === 0 ? DEFAULT_PART : model.frame_hop;
  const samples = audioParts(wav, { sampleRate, partSamples: hop * FRAMES_PER_PART });
  return {
    parts: tensors(refused(samples), spec),
    converted: conversion(path, wav, sampleRate),
    close: () => wav.close(),
  };
}

/** All samples of a WAV file: one channel, at that rate. */
export function wavSamples(path: string, sampleRate: number): Promise<Float32Array> {
  return audioFrom(path, { sampleRate }).catch(refuse);
}

function conversion(path: string, { info }: Wav, sampleRate: number): string | undefined {
  const changes = [
    ...(info.channels === 1 ? [] : [`${info.channels} channels mixed into one`]),
    ...(info.sampleRate === sampleRate
      ? []
      : [`${info.sampleRate} Hz resampled to ${sampleRate} Hz`]),
  ];
  return changes.length === 0 ? undefined : `${path}: ${changes.join(', ')}`;
}

async function* refused<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    refuse(error);
  }
}

/** A file that cannot be read is wrong usage. */
function refuse(error: unknown): never {
  throw new UsageError(CabstandError.from(error).message, undefined, error);
}

/** Samples of 16 bits from a pipe, one part per step of the model. */
export function stdinSource(input: Readable, model: v1.ModelInfo__Output): AudioSource {
  const spec = audioInput(model);
  if (!model.takes_live_input)
    throw new UsageError(`${model.offer?.name ?? 'the model'} takes no live input`, 'Use --wav.');
  return {
    parts: tensors(liveAudio(input, model.frame_hop === 0 ? DEFAULT_PART : model.frame_hop), spec),
    close: () => {
      input.destroy();
      return Promise.resolve();
    },
  };
}

/** All parts as one tensor, for a model that does not take them one by one. */
export async function whole(source: AudioSource): Promise<Tensor> {
  const chunks: Uint8Array[] = [];
  let first: Tensor | undefined;
  for await (const tensor of source.parts) {
    first ??= tensor;
    chunks.push(tensor.data);
  }
  if (first === undefined) throw new UsageError('the audio holds no samples');
  const data = Buffer.concat(chunks);
  const shape = [...first.shape.slice(0, -1), data.length / Float32Array.BYTES_PER_ELEMENT];
  return { ...first, shape, data };
}

async function* tensors(samples: AsyncIterable<Float32Array>, spec: Spec): AsyncGenerator<Tensor> {
  // Samples are the last dimension; others (a batch, a channel) are 1.
  const leading = spec.shape.slice(0, -1).map(() => 1);
  for await (const part of samples) yield tensorOf(spec.name, part, [...leading, part.length]);
}

/** The error for an input of a kind that the model does not take. */
export function takesNo(model: v1.ModelInfo__Output, kind: string): UsageError {
  const flags = { audio: '--wav or --stdin-audio', image: '--image', text: '--text' };
  const takes = new Set(
    model.inputs.map(({ media, name }) =>
      media === undefined ? `--tensor ${name}=…` : flags[media],
    ),
  );
  if (model.takes_prompt) takes.add(flags.text);
  return new UsageError(
    `${model.offer?.name ?? 'the model'} takes no ${kind}`,
    `It takes ${[...takes].join(', ') || 'nothing that can be sent from here'}; see \`cabstand info --model ${model.offer?.name ?? 'NAME'}\`.`,
  );
}
