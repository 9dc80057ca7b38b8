/** Requests as callers send them over HTTP, checked and turned into the door's words. */
import { CabstandError, invalid } from '@cabstand/core';
import { elementCount, refusedElement, tensorFromJson } from '@cabstand/tensor';
import type { DType, Tensor } from '@cabstand/tensor';
import { requestOptions } from '../infer/ask';
import type { InferAsk, ParameterValue } from '../infer/ask';
import { checkShape, dtypeOf, fromRaw } from '../infer/datatypes';
import type { Body } from './body';

type Members = Readonly<Record<string, unknown>>;

export interface HttpAsk extends InferAsk {
  /** How an output is to come. */
  readonly isBinary: (output: string) => boolean;
}

const MOST_TENSORS = 64;
const DATA_SIZE = 'binary_data_size';

export function parseInfer(
  model: string,
  version: string | undefined,
  { json, binary }: Body,
): HttpAsk {
  const { id = '', inputs = [], outputs = [], parameters = {}, ...more } = object('body', json);
  const [unknown] = Object.keys(more);
  if (unknown !== undefined)
    throw invalid('INVALID_ARGUMENT', 'body', unknown, 'id, inputs, outputs and parameters');
  if (typeof id !== 'string') throw invalid('INVALID_ARGUMENT', 'id', id, 'text');
  const wanted = list('outputs', outputs).map(parseOutput);
  const own = object('parameters', parameters);
  const allBinary = own['binary_data_output'] === true;
  const binaryOf = new Map(wanted.map((output) => [output.name, output.binary ?? allBinary]));
  return {
    ...{ model, version, id },
    inputs: parseInputs(list('inputs', inputs), binary),
    wanted: wanted.length === 0 ? undefined : new Set(binaryOf.keys()),
    ...requestOptions(parameterValues(own)),
    isBinary: (output) => binaryOf.get(output) ?? allBinary,
  };
}

function parseInputs(given: readonly unknown[], binary: Buffer): Tensor[] {
  const names = new Set<string>();
  let at = 0;
  const tensors = given.map((one, index) => {
    const { name, datatype, shape, data, parameters = {} } = object(`inputs[${index}]`, one);
    if (typeof name !== 'string')
      throw invalid('INVALID_ARGUMENT', `inputs[${index}].name`, name, 'text');
    const input = `input ${JSON.stringify(name)}`;
    if (names.has(name)) throw invalid('INVALID_ARGUMENT', 'inputs', `${name} twice`, 'each once');
    names.add(name);
    const size = dataSize(input, object(`${input} parameters`, parameters));
    const dtype = dtypeOf(name, typeof datatype === 'string' ? datatype : '');
    const sizes = list(`${input} shape`, shape);
    const checked = checkShape(name, sizes as readonly number[]);
    if (size === undefined) return fromData(name, dtype, checked, data);
    if (data !== undefined)
      throw invalid('INVALID_ARGUMENT', `${input} data`, 'data', `${DATA_SIZE} only`);
    if (size > binary.length - at)
      throw invalid('INPUT_BYTES', `${input} ${DATA_SIZE}`, size, `at most ${binary.length - at}`);
    return fromRaw(name, dtype, checked, binary.subarray(at, (at += size)));
  });
  if (at !== binary.length)
    throw invalid('INPUT_BYTES', 'body', `${binary.length - at} bytes more`, 'those of the inputs');
  return tensors;
}

function dataSize(input: string, parameters: Members): number | undefined {
  const { [DATA_SIZE]: size, ...more } = parameters;
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) throw notOffered(input, unknown);
  if (size === undefined || (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0))
    return size;
  throw invalid('INVALID_ARGUMENT', `${input} ${DATA_SIZE}`, size, 'a whole number of bytes');
}

/** Elements in JSON: one behind another, or nested as the shape says. */
function fromData(name: string, dtype: DType, shape: readonly number[], data: unknown): Tensor {
  const input = `input ${JSON.stringify(name)} data`;
  if (dtype === 'float16') throw invalid('INPUT_DTYPE', input, 'FP16 in JSON', 'binary data');
  const count = elementCount(shape);
  const values: unknown[] = [];
  flatten(input, data, shape.length + 1, count, values);
  if (values.length !== count)
    throw invalid(
      'INPUT_BYTES',
      input,
      `${values.length} elements`,
      `${count} elements for [${shape.join(', ')}]`,
    );
  return tensorFromJson(name, dtype, values, shape, (value) => refusedElement(dtype, input, value));
}

function flatten(
  input: string,
  data: unknown,
  depth: number,
  most: number,
  values: unknown[],
): void {
  if (!Array.isArray(data)) {
    if (values.push(data) > most) throw invalid('INPUT_BYTES', input, 'more', `${most} elements`);
    return;
  }
  if (depth === 0) throw invalid('INPUT_RANK', input, 'deeper lists', 'as many as dimensions');
  for (const item of data as unknown[]) flatten(input, item, depth - 1, most, values);
}

function parseOutput(given: unknown, index: number) {
  const { name, parameters = {} } = object(`outputs[${index}]`, given);
  if (typeof name !== 'string')
    throw invalid('INVALID_ARGUMENT', `outputs[${index}].name`, name, 'text');
  const { binary_data: binary, ...more } = object(`outputs[${index}].parameters`, parameters);
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) throw notOffered(`output ${JSON.stringify(name)}`, unknown);
  if (binary !== undefined && typeof binary !== 'boolean')
    throw invalid('INVALID_ARGUMENT', `outputs[${index}].binary_data`, binary, 'true or false');
  return { name, binary };
}

function* parameterValues(own: Members): Generator<readonly [string, ParameterValue]> {
  for (const [name, value] of Object.entries(own)) {
    if (typeof value !== 'boolean' && typeof value !== 'number' && typeof value !== 'string')
      throw invalid('PARAMETER_INVALID', `parameter ${name}`, value, 'true, false, number or text');
    // Beyond 2^53 it has lost digits; as text it keeps them.
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      throw invalid('PARAMETER_INVALID', `parameter ${name}`, value, 'text, beyond 2^53');
    yield [name, value];
  }
}

function notOffered(tensor: string, parameter: string): CabstandError {
  return new CabstandError('UNIMPLEMENTED', `${tensor}: parameter ${parameter} is not offered`, {
    metadata: { field: tensor, feature: parameter },
  });
}

export function object(field: string, value: unknown): Members {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Members;
  throw invalid('INVALID_ARGUMENT', field, value, 'a JSON object');
}

function list(field: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid('INVALID_ARGUMENT', field, value, 'a list');
  if (value.length > MOST_TENSORS)
    throw invalid(
      'LIMIT_EXCEEDED',
      field,
      `${value.length} entries`,
      `at most ${MOST_TENSORS} entries`,
    );
  return value;
}
