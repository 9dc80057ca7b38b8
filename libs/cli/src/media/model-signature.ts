import type { ModelSignature } from '@cabstand/model';
import type { v1 } from '@cabstand/rpc';
import { dtypeFromWire } from '@cabstand/tensor';

/** As much as examples are allowed to take where a hoster does not say. */
const MAX_INPUT_BYTES = 16 * 1024 * 1024;
const MAX_SEQUENCE_LENGTH = 64;
/** Hops of a frame, where only the hop is known: a frame is seldom longer. */
const FRAME_HOPS = 4;

type Input = ModelSignature['inputs'][number];

/**
 * What a hoster tells of a model, as a signature to make examples from. It does not tell ranges (audio
 * excepted), rows and vocabularies: a hoster may refuse what is made from this.
 */
export function signatureOf(model: v1.ModelInfo__Output): ModelSignature {
  const inputs = model.inputs.map(inputOf);
  return {
    name: model.offer?.name ?? '',
    version: model.offer?.version ?? '1',
    digest: model.offer?.digest ?? '',
    kind: 'stateless',
    description: model.description,
    inputs,
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
    framed: framedOf(model, inputs),
    rows: [],
  };
}

function inputOf(spec: v1.TensorSpec__Output): Input {
  const audio = spec.media === 'audio' ? (spec.audio ?? undefined) : undefined;
  return {
    name: spec.name,
    dtype: dtypeFromWire(spec.dtype) ?? 'float32',
    alsoDtypes: [],
    // Dimensions without a name are each of their own.
    shape: spec.shape.map((size, axis) =>
      size === -1 ? spec.dimension_names[axis] || `${spec.name}:${axis}` : size,
    ),
    minimum: audio === undefined ? undefined : -1,
    maximum: audio === undefined ? undefined : 1,
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

/** Inputs with a single free dimension may be the framed ones: all of them get as many hops. */
function framedOf(
  { frame_hop: hop }: v1.ModelInfo__Output,
  inputs: readonly Input[],
): ModelSignature['framed'] {
  if (hop <= 0) return [];
  return inputs.flatMap(({ name, shape }) => {
    const free = shape.flatMap((size, axis) => (typeof size === 'string' ? [axis] : []));
    const [axis] = free;
    if (axis === undefined || free.length > 1) return [];
    return [
      {
        ...{ input: name, axis, frame: FRAME_HOPS * hop, hop, carry: 0, carryValue: 0 },
        remainder: 'drop' as const,
        formats: ['float32' as const],
      },
    ];
  });
}
