/** Requests as callers send them over gRPC, checked and turned into the door's words. */
import { CabstandError, invalid } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { InferParameter__Output } from '../generated/inference/InferParameter';
import type { ModelInferRequest__Output } from '../generated/inference/ModelInferRequest';
import { requestOptions } from '../infer/ask';
import type { InferAsk, ParameterValue } from '../infer/ask';
import { checkShape, dtypeOf, fromRaw } from '../infer/datatypes';
import { fromContents } from './contents';

type Request = ModelInferRequest__Output;
type Parameters = Readonly<Record<string, InferParameter__Output>>;

export function parseInfer(request: Request): InferAsk {
  return {
    model: parseModel('model_name', request.model_name),
    version: parseVersion(request.model_version),
    id: request.id,
    inputs: parseInputs(request),
    wanted: parseOutputs(request.outputs),
    ...requestOptions(parameters(request.parameters)),
  };
}

export function parseModel(field: string, name: string): string {
  if (name === '') throw invalid('INVALID_ARGUMENT', field, undefined, 'a name');
  return name;
}

export function parseVersion(version: string): string | undefined {
  return version === '' ? undefined : version;
}

function parseInputs({ inputs, raw_input_contents: raw }: Request): Tensor[] {
  const isRaw = raw.length > 0;
  if (isRaw && raw.length !== inputs.length)
    throw invalid(
      'INVALID_ARGUMENT',
      'raw_input_contents',
      `${raw.length} entries`,
      `one for each of the ${inputs.length} inputs, in their order`,
    );
  const names = new Set<string>();
  return inputs.map(({ name, datatype, shape: sizes, parameters: own, contents }, index) => {
    const input = `input ${JSON.stringify(name)}`;
    if (names.has(name)) throw invalid('INVALID_ARGUMENT', 'inputs', `${name} twice`, 'each once');
    names.add(name);
    refuseParameters(input, own);
    const dtype = dtypeOf(name, datatype);
    const shape = checkShape(name, sizes.map(Number));
    const bytes = raw[index];
    if (bytes === undefined) {
      if (contents !== null) return fromContents(name, dtype, shape, contents);
      throw invalid('INPUT_BYTES', input, undefined, 'contents, or raw_input_contents');
    }
    if (contents !== null)
      throw invalid('INVALID_ARGUMENT', `${input} contents`, 'contents', 'raw_input_contents only');
    return fromRaw(name, dtype, shape, bytes);
  });
}

function parseOutputs(outputs: Request['outputs']): ReadonlySet<string> | undefined {
  for (const { name, parameters: own } of outputs)
    refuseParameters(`output ${JSON.stringify(name)}`, own);
  return outputs.length === 0 ? undefined : new Set(outputs.map(({ name }) => name));
}

/** Shared memory and classification are asked for by parameters of tensors. */
function refuseParameters(tensor: string, own: Parameters): void {
  for (const name of Object.keys(own))
    throw new CabstandError('UNIMPLEMENTED', `${tensor}: parameter ${name} is not offered`, {
      metadata: { field: tensor, feature: name },
    });
}

function* parameters(own: Parameters): Generator<readonly [string, ParameterValue]> {
  for (const [name, value] of Object.entries(own)) yield [name, parameterValue(name, value)];
}

function parameterValue(name: string, value: InferParameter__Output): ParameterValue {
  const { bool_param, int64_param, string_param, double_param, uint64_param } = value;
  switch (value.parameter_choice) {
    case 'bool_param':
      return bool_param === true;
    case 'int64_param':
      return BigInt(int64_param ?? 0);
    case 'string_param':
      return string_param ?? '';
    case 'double_param':
      return double_param ?? 0;
    case 'uint64_param':
      return BigInt(uint64_param ?? 0);
    default:
      throw invalid('PARAMETER_INVALID', `parameter ${name}`, undefined, 'a value');
  }
}
