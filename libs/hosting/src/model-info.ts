/** What a model takes and gives, in the contract's words. */
import type { CabstandError } from '@cabstand/core';
import { DTYPES } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { STOP_COMMAND } from '@cabstand/engine';
import type { CommandDescription, OutputMetadata } from '@cabstand/engine';
import { givesText } from '@cabstand/model';
import type { Dimension, FramedInput, InputSpec, ModelSignature } from '@cabstand/model';
import { wireSurvival } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { ModelStatus, ServedModel } from '@cabstand/sessions';
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

/** @param failureText what the caller may read of why it cannot be served */
export function modelInfo(
  model: ServedModel,
  freeSlots: number,
  failureText: (error: CabstandError) => string,
): v1.ModelInfo {
  const { signature, status } = model;
  return {
    offer: modelOffer(model),
    state: wireModelState(status),
    description: signature.description,
    inputs: signature.inputs.map(inputSpec),
    outputs: outputSpecs(signature, model.outputs),
    parameters: JSON.stringify(parameterTable(signature)),
    takes_prompt: signature.takesPrompt,
    gives_text: givesText(signature),
    takes_live_input: signature.takesLiveInput,
    tool_calls: signature.toolCalls ?? '',
    frame_hop: signature.framed[0]?.hop ?? 0,
    failure: status.state === 'failed' ? failureText(status.error) : '',
    checkpoints: signature.sessions?.survival !== 'none',
    runtime: model.runtime,
    free_slots: status.state === 'ready' ? freeSlots : 0,
    batching_note: model.batchingNote,
    framing: signature.framed.map(framedInput),
    commands: [...model.commands, STOP_COMMAND].map(commandSpec),
    ...moduleInfo(model),
  };
}

function commandSpec({
  name,
  description = '',
  arguments: given,
  result,
}: CommandDescription): v1.CommandSpec {
  return {
    name,
    description,
    arguments: given === undefined ? '' : JSON.stringify(given),
    result: result === undefined ? '' : JSON.stringify(result),
  };
}

/** What a module may tell. */
function moduleInfo(model: ServedModel): Pick<v1.ModelInfo, 'messages' | 'survival' | 'exclusive'> {
  const { sessions } = model.signature;
  if (sessions === undefined) return {};
  return {
    messages: Object.fromEntries(
      Object.entries(sessions.messages).map(([name, schema]) => [name, JSON.stringify(schema)]),
    ),
    survival: wireSurvival(model.signature.sessions?.survival),
    exclusive: sessions.exclusive,
  };
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
    accepted_dtypes: [input.dtype, ...input.alsoDtypes].map(wireDType),
    ...(input.minimum !== undefined && { minimum: input.minimum }),
    ...(input.maximum !== undefined && { maximum: input.maximum }),
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
      ({ name, dtype, shape, form, description, oneOf, minimum, maximum, ...rest }) => [
        name,
        {
          dtype,
          shape,
          form,
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
