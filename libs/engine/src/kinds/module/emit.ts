/** What an author emits: typed as model.yaml declares it. */
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { CabstandError, invalid } from '@cabstand/core';
import type { DeclaredOutput } from '@cabstand/model';
import type { DType } from '@cabstand/tensor';
import type { StepWriter } from '../../output/step-writer';
import { writeTensor } from '../../output/tensor-record';

export type Outputs = Readonly<Record<string, OrtTensor>>;

/** @throws CabstandError MODULE_FAILED for what model.yaml does not declare */
export function writeChunk(
  out: StepWriter,
  declared: ReadonlyMap<string, DeclaredOutput>,
  outputs: Outputs,
  text: string,
): void {
  for (const [name, tensor] of Object.entries(outputs)) {
    checkOutput(declared, name, tensor);
    writeTensor(out, name, tensor.type as DType, tensor.dims, tensor.data);
  }
  out.text(text);
}

function checkOutput(
  outputs: ReadonlyMap<string, DeclaredOutput>,
  name: string,
  tensor: OrtTensor | undefined,
): void {
  const declared = outputs.get(name);
  if (declared === undefined) {
    const names = [...outputs.keys()].join(', ') || 'it declares none';
    throw output(invalid('MODULE_FAILED', 'emit', name, `an output of model.yaml: ${names}`));
  }
  const { dtype, shape } = declared;
  const dims = tensor?.dims;
  const fits =
    dims?.length === shape.length &&
    shape.every((size, axis) => size === -1 || size === dims[axis]);
  if (tensor?.type === dtype && fits) return;
  const got =
    dims === undefined
      ? `${Array.isArray(tensor) ? 'a list' : typeof tensor}, no tensor`
      : `${tensor?.type} [${dims.join(', ')}]`;
  const sizes = shape.map((size) => (size === -1 ? 'any' : size)).join(', ');
  throw output(
    invalid(
      'MODULE_FAILED',
      `emit: output ${name}`,
      got,
      `a tensor ${dtype} [${sizes}]: new env.Tensor('${dtype}', data, dims)`,
    ),
  );
}

function output({ reason, message, metadata }: CabstandError): CabstandError {
  return new CabstandError(reason, message, { metadata: { ...metadata, problem: 'output' } });
}
