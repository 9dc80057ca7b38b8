/** Models as all doors show them. */
import type { CabstandError } from '@cabstand/core';
import type { ModelFacts, TensorFacts } from '@cabstand/doors';
import { givesText } from '@cabstand/model';
import type { ServedModel } from '@cabstand/sessions';
import { wholeText } from '../engines/told';
import type { BrokenModel } from '../models/model-host';

/** @param whole with all that is known of a failure, for administrators; else as callers may read it. */
export function modelFacts(model: ServedModel, whole: boolean): ModelFacts {
  const { name, version, digest, signature, status, provider = '', capacity } = model;
  return {
    name,
    version,
    digest,
    kind: signature.kind,
    description: signature.description,
    state: status.state,
    failure: status.state === 'failed' ? failureOf(status.error, whole) : '',
    provider,
    inputs: signature.inputs.map((input) => ({
      name: input.name,
      dtype: input.dtype,
      shape: input.shape.map((size) => (typeof size === 'number' ? size : -1)),
      description: input.description,
      labels: [],
    })),
    outputs: outputFacts(model),
    parameters: signature.parameters.map((parameter) => ({
      name: parameter.name,
      dtype: parameter.dtype,
      shape: parameter.shape,
    })),
    takesPrompt: signature.takesPrompt,
    givesText: givesText(signature),
    takesLiveInput: signature.takesLiveInput,
    toolCalls: signature.toolCalls,
    capacity,
  };
}

/** A folder without a usable manifest is listed too: whoever asks sees what is wrong. */
export function brokenFacts({ name, error }: BrokenModel, whole: boolean): ModelFacts {
  return {
    ...{ name, version: '', digest: '', kind: 'stateless', description: '', provider: '' },
    state: 'failed',
    failure: failureOf(error, whole),
    ...{ inputs: [], outputs: [], parameters: [], capacity: 0 },
    ...{ takesPrompt: false, givesText: false, takesLiveInput: false },
  };
}

function failureOf(error: CabstandError, whole: boolean): string {
  return whole ? wholeText(error) : error.message;
}

function outputFacts({ signature, outputs }: ServedModel): TensorFacts[] {
  const loaded = new Map(outputs.map((output) => [output.name, output]));
  return signature.outputs.map(({ name, description, labels }) => {
    const { dtype, shape = [] } = loaded.get(name) ?? { dtype: undefined };
    return { name, dtype, shape, description, labels };
  });
}
