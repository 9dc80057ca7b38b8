/** The door's words in those of the proto. */
import type { CabstandError } from '@cabstand/core';
import type { ModelConfig } from '../generated/inference/ModelConfig';
import type { ModelInferResponse } from '../generated/inference/ModelInferResponse';
import type { ModelStatistics } from '../generated/inference/ModelStatistics';
import type { ModelStreamInferResponse } from '../generated/inference/ModelStreamInferResponse';
import type { StatisticDuration } from '../generated/inference/StatisticDuration';
import { DATATYPES, toRaw } from '../infer/datatypes';
import {
  backendOf,
  describedInputs,
  describedOutputs,
  isDecoupled,
  isSequential,
  platformOf,
} from '../infer/describe';
import type { DescribedTensor } from '../infer/describe';
import type { Answer } from '../infer/inference';
import type { Counts, Duration } from '../infer/statistics';
import type { ModelFacts } from '../serving';

/** Says of an answer in a stream whether it is the last of its request. */
const FINAL = 'triton_final_response';

export function wireAnswer({ model, id, tensors, note, message }: Answer): ModelInferResponse {
  const parameters: NonNullable<ModelInferResponse['parameters']> = {};
  if (note !== '') parameters['note'] = { string_param: note };
  if (message !== undefined) {
    parameters['message'] = { string_param: message.name };
    parameters['message_json'] = { string_param: message.json };
  }
  return {
    model_name: model.name,
    model_version: model.version,
    id,
    parameters,
    outputs: tensors.map(({ name, dtype, shape }) => ({
      name,
      datatype: DATATYPES[dtype],
      shape: [...shape],
    })),
    raw_output_contents: tensors.map(toRaw),
  };
}

export function wireStep(answer: Answer, last: boolean): ModelStreamInferResponse {
  const response = wireAnswer(answer);
  return {
    infer_response: {
      ...response,
      parameters: { ...response.parameters, [FINAL]: { bool_param: last } },
    },
  };
}

/** A request that failed in a stream that goes on. */
export function wireFailure(
  request: { readonly model: string; readonly version: string; readonly id: string },
  error: CabstandError,
): ModelStreamInferResponse {
  return {
    error_message: `${error.reason}: ${error.message}`,
    infer_response: {
      model_name: request.model,
      model_version: request.version,
      id: request.id,
      parameters: { reason: { string_param: error.reason }, [FINAL]: { bool_param: true } },
    },
  };
}

const TYPES: Readonly<Record<string, NonNullable<ModelConfigType>>> = {
  ...{ BOOL: 'TYPE_BOOL', UINT8: 'TYPE_UINT8', UINT16: 'TYPE_UINT16', UINT32: 'TYPE_UINT32' },
  ...{ UINT64: 'TYPE_UINT64', INT8: 'TYPE_INT8', INT16: 'TYPE_INT16', INT32: 'TYPE_INT32' },
  ...{ INT64: 'TYPE_INT64', FP16: 'TYPE_FP16', FP32: 'TYPE_FP32', FP64: 'TYPE_FP64' },
  BYTES: 'TYPE_STRING',
};
type ModelConfigType = NonNullable<ModelConfig['input']>[number]['data_type'];

export function wireConfig(model: ModelFacts, sequenceIdleMs: number): ModelConfig {
  return {
    name: model.name,
    platform: platformOf(model),
    backend: backendOf(model),
    max_batch_size: 0,
    input: describedInputs(model).map((input) => ({
      ...wireTensor(input),
      optional: input.optional,
    })),
    output: describedOutputs(model).map(wireTensor),
    ...(isSequential(model) && {
      sequence_batching: { max_sequence_idle_microseconds: sequenceIdleMs * 1000 },
    }),
    model_transaction_policy: { decoupled: isDecoupled(model) },
    parameters: Object.fromEntries(
      model.parameters.map(({ name, dtype }) => [name, { string_value: DATATYPES[dtype] }]),
    ),
  };
}

function wireTensor({ name, datatype, shape }: DescribedTensor) {
  return { name, data_type: TYPES[datatype] ?? 'TYPE_INVALID', dims: [...shape] };
}

export function wireStatistics(model: ModelFacts, counts: Counts): ModelStatistics {
  const { success, fail, queue, compute, lastAt } = counts;
  return {
    name: model.name,
    version: model.version,
    last_inference: lastAt,
    inference_count: success.count,
    execution_count: success.count,
    inference_stats: {
      success: wireDuration(success),
      fail: wireDuration(fail),
      queue: wireDuration(queue),
      compute_input: { count: compute.count, ns: 0 },
      compute_infer: wireDuration(compute),
      compute_output: { count: compute.count, ns: 0 },
      cache_hit: {},
      cache_miss: {},
    },
  };
}

function wireDuration({ count, ms }: Duration): StatisticDuration {
  return { count, ns: Math.round(ms * 1e6) };
}
