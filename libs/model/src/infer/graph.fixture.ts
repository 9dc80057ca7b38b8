/** Graphs for tests, as files and as summaries. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { field, model, node, tensorType, value } from '../onnx-file/wire.fixture';
import type { GraphSummary, GraphValue } from '../onnx-file/types';

export type FixtureDims = readonly (number | string | undefined)[];
export type FixtureTensors = Readonly<Record<string, FixtureDims>>;

/** TensorProto.DataType. */
const FLOAT = 1;
const INPUT = 11;
const OUTPUT = 12;

/** An ONNX file whose inputs and outputs are float32, made of one operator. */
export function writeGraph(
  file: string,
  inputs: FixtureTensors,
  outputs: FixtureTensors,
  element = FLOAT,
): void {
  mkdirSync(dirname(file), { recursive: true });
  const fields = (number: number, tensors: FixtureTensors): Buffer[] =>
    Object.entries(tensors).map(([name, dims]) =>
      field(number, value(name, tensorType(element, dims))),
    );
  const all = [...fields(INPUT, inputs), ...fields(OUTPUT, outputs)];
  const made = node('Custom', Object.keys(inputs), Object.keys(outputs));
  writeFileSync(file, model(made, ...all));
}

export const tensor = (
  name: string,
  dims: FixtureDims | undefined,
  more: Partial<GraphValue> = {},
): GraphValue => ({ name, kind: 'tensor', dtype: 'float32', dims, ...more });

export const summaryOf = (
  inputs: readonly GraphValue[],
  outputs: readonly GraphValue[],
  more: Partial<GraphSummary> = {},
): GraphSummary => ({
  irVersion: 8,
  opsets: [{ domain: '', version: 17 }],
  inputs,
  defaulted: [],
  outputs,
  initializers: new Set(),
  nodes: [
    {
      op: 'Custom',
      domain: '',
      inputs: inputs.map(({ name }) => name),
      outputs: outputs.map(({ name }) => name),
    },
  ],
  externalFiles: [],
  metadata: {
    producer: '',
    docString: '',
    domain: '',
    modelVersion: 0,
    properties: new Map(),
  },
  ...more,
});
