import type { ModelSignature } from '@cabstand/model';
import type { v1 } from '@cabstand/rpc';
import { dtypeFromWire } from '@cabstand/tensor';

/** As much as examples are allowed to take where a hoster does not say. */
const MAX_INPUT_BYTES = 16 * 1024 * 1024;
const MAX_SEQUENCE_LENGTH = 64;

type Input = ModelSignature['inputs'][number];

/**
 * What a hoster tells of a model, as a signature to make examples from. It does not tell ranges (audio
 * excepted), rows and vocabularies: a hoster may refuse what is made from this.
 */
export function signatureOf(model: v1.ModelInfo__Output): ModelSignature {
  return {
    name: model.offer?.name ?? '',
    version: model.offer?.version ?? '1',
    digest: model.offer?.digest ?? '',
    kind: 'stateless',
    description: model.description,
    inputs: model.inputs.map(inputOf),
    outputs: [],
    parameters: [],
    text: { input: undefined, output: undefined },
    limits: {
      maxInputBytes: MAX_INPUT_BYTES,
      maxSequenceLength: MAX_SEQUENCE_LENGTH,
      maxStateBytes: undefined,
    },
    // Without the vocabulary there are no words to choose from.
    takesPrompt: false,
    takesLiveInput: model.takes_live_input,
    takesEmpty: false,
    framed: framedOf(model),
    rows: [],
    sessions: undefined,
  };
}

function inputOf(spec: v1.TensorSpec__Output): Input {
  return {
    name: spec.name,
    dtype: dtypeFromWire(spec.dtype) ?? 'float32',
    alsoDtypes: [],
    // Dimensions without a name are each of their own.
    shape: spec.shape.map((size, axis) =>
      size === -1 ? spec.dimension_names[axis] || `${spec.name}:${axis}` : size,
    ),
    minimum: spec.minimum,
    maximum: spec.maximum,
    allowNan: false,
    description: spec.description,
    media: mediaOf(spec),
  };
}

function mediaOf(spec: v1.TensorSpec__Output): Input['media'] {
  if (spec.media === 'audio' && spec.audio)
    return { kind: 'audio', sampleRate: spec.audio.sample_rate };
  if (spec.media === 'text') return { kind: 'text' };
  const image = spec.media === 'image' ? spec.image : undefined;
  if (!image) return undefined;
  const { width, height, mean, std, layout } = image;
  return {
    ...{ kind: 'image', width, height, mean, std },
    layout: layout === 'nhwc' ? 'nhwc' : 'nchw',
    channels: image.channels === 'bgr' ? 'bgr' : 'rgb',
    fit: image.fit === 'pad' ? 'pad' : 'stretch',
  };
}

function framedOf({ framing }: v1.ModelInfo__Output): ModelSignature['framed'] {
  return framing.map(({ input, axis, frame, hop }) => ({
    ...{ input, axis, frame, hop, carry: 0, carryValue: 0, remainder: 'drop' },
    formats: ['float32'],
  }));
}
