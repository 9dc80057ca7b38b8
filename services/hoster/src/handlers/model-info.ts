/** What a model takes and gives, in the contract's words. */
import { DTYPES } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import type { OutputMetadata } from '@cabstand/engine';
import type { Dimension, FramedInput, InputSpec, ModelSignature } from '@cabstand/model';
import type { v1 } from '@cabstand/rpc';
import type { CabstandError } from '@cabstand/core';
import type { BrokenModel, ModelStatus, ServedModel } from '../engines/contract';
import { wholeText } from '../engines/told';
import { wireBatchClass } from './wire';

export function modelOffer(model: ServedModel): v1.ModelOffer {
  return {
    name: model.name,
    version: model.version,
    digest: model.digest,
    batch_class: wireBatchClass(model),
    provider: model.provider ?? '',
    capacity: model.capacity,
    kind: model.signature.kind,
    reference: model.reference ?? '',
  };
}

/** @param whole with all that is known of a failure, for administrators; else as callers may read it. */
export function modelInfo(model: ServedModel, freeSlots: number, whole: boolean): v1.ModelInfo {
  const { signature, status } = model;
  return {
    offer: modelOffer(model),
    state: wireModelState(status),
    description: signature.description,
    inputs: signature.inputs.map(inputSpec),
    outputs: outputSpecs(signature, model.outputs),
    parameters: JSON.stringify(parameterTable(signature)),
    takes_prompt: signature.takesPrompt,
    takes_live_input: signature.takesLiveInput,
    frame_hop: signature.framed[0]?.hop ?? 0,
    failure: status.state === 'failed' ? failureOf(status.error, whole) : '',
    checkpoints: true,
    runtime: model.runtime,
    free_slots: status.state === 'ready' ? freeSlots : 0,
    batching_note: model.batchingNote,
    framing: signature.framed.map(framedInput),
  };
}

/** A folder without a usable manifest is listed too: whoever asks sees what is wrong. */
export function brokenInfo(broken: BrokenModel, whole: boolean): v1.ModelInfo {
  return {
    offer: { name: broken.name },
    state: 'MODEL_STATE_FAILED',
    failure: failureOf(broken.error, whole),
  };
}

function failureOf(error: CabstandError, whole: boolean): string {
  return whole ? wholeText(error) : error.message;
}

/** A state as the wire has it; a load that verifies is told apart. */
export function wireModelState(status: ModelStatus): v1.ModelState {
  switch (status.state) {
    case 'loading':
      return status.stage.startsWith('verifying') ? 'MODEL_STATE_VERIFYING' : 'MODEL_STATE_LOADING';
    case 'ready':
      return 'MODEL_STATE_READY';
    case 'draining':
      return 'MODEL_STATE_DRAINING';
    case 'failed':
      return 'MODEL_STATE_FAILED';
  }
}

function inputSpec(input: InputSpec): v1.TensorSpec {
  return {
    name: input.name,
    dtype: wireDType(input.dtype),
    shape: input.shape.map((size) => (typeof size === 'number' ? size : -1)),
    dimension_names: input.shape.map(dimensionName),
    description: input.description,
    ...media(input),
  };
}

function framedInput({ input, axis, frame, hop, remainder }: FramedInput): v1.FramedInput {
  return { input, axis, frame, hop, remainder };
}

function dimensionName(dimension: Dimension): string {
  return typeof dimension === 'string' ? dimension : '';
}

function media(input: InputSpec): Pick<v1.TensorSpec, 'audio' | 'image' | 'text'> {
  const { media: kind } = input;
  switch (kind?.kind) {
    case 'audio':
      return { audio: { sample_rate: kind.sampleRate } };
    case 'image':
      return {
        image: {
          width: kind.width,
          height: kind.height,
          channels: kind.channels,
          layout: kind.layout,
          mean: [...kind.mean],
          std: [...kind.std],
          fit: kind.fit,
        },
      };
    case 'text':
      return { text: {} };
    case undefined:
      return {};
  }
}

function outputSpecs(
  signature: ModelSignature,
  metadata: readonly OutputMetadata[],
): v1.TensorSpec[] {
  const byName = new Map(metadata.map((output) => [output.name, output]));
  return signature.outputs.map((output) => {
    const known = byName.get(output.name);
    return {
      name: output.name,
      dtype: known === undefined ? 'DATA_TYPE_UNSPECIFIED' : wireDType(known.dtype),
      shape: [...(known?.shape ?? [])],
      description: output.description,
      labels: [...output.labels],
    };
  });
}

function wireDType(dtype: DType): v1.DataType {
  return DTYPES[dtype].wire;
}

function parameterTable(signature: ModelSignature): Record<string, object> {
  return Object.fromEntries(
    signature.parameters.map(
      ({ name, dtype, shape, description, oneOf, minimum, maximum, ...rest }) => [
        name,
        {
          dtype,
          shape,
          default: rest.default,
          minimum,
          maximum,
          one_of: oneOf,
          description,
        },
      ],
    ),
  );
}
