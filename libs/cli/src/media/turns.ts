import type { Readable } from 'node:stream';
import { dtypeFromWire } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { v1 } from '@cabstand/rpc';
import { UsageError } from '../errors';
import { stdinSource, takesNo, wavSource, whole } from './audio';
import type { AudioSource } from './audio';
import { imageTensor } from './image';
import type { ImageLayout } from './image';
import { loadTensor, parseTensorSource } from './tensor-file';

/** What the user wants to send: exactly one kind of input. */
export interface InputFlags {
  readonly wav?: readonly string[];
  readonly text?: readonly string[];
  readonly image?: readonly string[];
  readonly tensor?: readonly string[];
  readonly stdinAudio?: true;
  /** Made from the model's description. */
  readonly example?: true;
}

/** Whether the user gave no input at all. */
export function noInput(flags: InputFlags): boolean {
  return kindsGiven(flags).length === 0;
}

/** The input of one turn. */
export type TurnSource = {
  /** For people, where there are several turns. */
  readonly label: string;
  /** How what is sent differs from what was given. */
  readonly converted?: string | undefined;
} & (
  | {
      readonly kind: 'whole';
      readonly prompt: string | undefined;
      readonly tensors: readonly Tensor[];
    }
  | { readonly kind: 'live'; readonly audio: AudioSource }
);

function kindsGiven(flags: InputFlags): string[] {
  return [
    flags.example === true ? '--example' : '',
    flags.wav === undefined ? '' : '--wav',
    flags.text === undefined ? '' : '--text',
    flags.image === undefined ? '' : '--image',
    flags.tensor === undefined ? '' : '--tensor',
    flags.stdinAudio === true ? '--stdin-audio' : '',
  ].filter((flag) => flag !== '');
}

/** Throws a UsageError for input of more than one kind. */
export function checkInputFlags(flags: InputFlags): void {
  const given = kindsGiven(flags);
  if (given.length > 1) throw new UsageError(`${given.join(' and ')}: give one kind of input`);
  // Wrong values are found before anything is sent.
  flags.tensor?.map(parseTensorSource);
}

/** The turns to run, each read when its time has come. */
export async function* turnsOf(
  flags: InputFlags,
  model: v1.ModelInfo__Output,
  stdin: Readable,
): AsyncGenerator<TurnSource> {
  if (flags.stdinAudio === true)
    yield { kind: 'live', label: 'stdin', audio: stdinSource(stdin, model) };
  for (const file of flags.wav ?? []) yield await wavTurn(file, model);
  for (const text of flags.text ?? []) {
    if (!model.takes_prompt) throw takesNo(model, 'text');
    yield { kind: 'whole', label: text, prompt: text, tensors: [] };
  }
  for (const file of flags.image ?? []) {
    const spec = model.inputs.find(({ media }) => media === 'image');
    const media = spec?.image ?? undefined;
    if (spec === undefined || media === undefined) throw takesNo(model, 'picture');
    const tensor = await imageTensor(spec.name, file, imageLayout(media));
    yield { kind: 'whole', label: file, prompt: undefined, tensors: [tensor] };
  }
  if (flags.tensor !== undefined) {
    const sources = flags.tensor.map(parseTensorSource);
    const tensors = await Promise.all(
      sources.map((source) =>
        loadTensor(
          source,
          dtypeFromWire(model.inputs.find(({ name }) => name === source.name)?.dtype ?? ''),
        ),
      ),
    );
    yield { kind: 'whole', label: 'tensors', prompt: undefined, tensors };
  }
}

async function wavTurn(file: string, model: v1.ModelInfo__Output): Promise<TurnSource> {
  const audio = await wavSource(file, model);
  const { converted } = audio;
  if (model.takes_live_input) return { kind: 'live', label: file, converted, audio };
  try {
    const tensors = [await whole(audio)];
    return { kind: 'whole', label: file, converted, prompt: undefined, tensors };
  } finally {
    await audio.close();
  }
}

function imageLayout(media: v1.ImageMedia__Output): ImageLayout {
  const { channels, layout, fit } = media;
  if (
    (channels !== 'rgb' && channels !== 'bgr') ||
    (layout !== 'nchw' && layout !== 'nhwc') ||
    (fit !== 'stretch' && fit !== 'pad')
  )
    throw new UsageError(
      `the model wants pictures as ${channels}/${layout}/${fit}, which this version does not make`,
      'Send them with --tensor.',
    );
  return { ...media, channels, layout, fit };
}
