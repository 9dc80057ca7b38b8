/** What ONNX Runtime alone answers, and how far another answer is from it. */
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { arrayOf, isDType, numbersOf, stringTensor, tensorOf } from '@cabstand/tensor';
import type { NumericArray, Tensor } from '@cabstand/tensor';

/** A session with the settings of those that serve. */
export async function openAlone(file: Uint8Array): Promise<InferenceSession> {
  return await InferenceSession.create(file, {
    executionProviders: ['cpu'],
    ...{ intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4 },
  });
}

/** All outputs in the session's order. @throws Error what ONNX Runtime says. */
export async function runAlone(
  session: InferenceSession,
  inputs: readonly Tensor[],
): Promise<Tensor[]> {
  const feeds = Object.fromEntries(inputs.map((tensor) => [tensor.name, toOrt(tensor)]));
  const results = await session.run(feeds, { logSeverityLevel: 4 });
  return session.outputNames.map((name) => fromOrt(name, results[name] as OrtTensor));
}

export interface Limits {
  readonly atol: number;
  readonly rtol: number;
}

/**
 * Where `got` is not `expected`, in words; undefined where it is. Numbers are compared as
 * |a - b| <= atol + rtol |b|, and NaN is NaN; bit by bit without limits. Strings, bools and shapes exactly.
 */
export function difference(
  got: Tensor | undefined,
  expected: Tensor,
  limits: Limits | undefined,
): string | undefined {
  if (got === undefined) return `${expected.name} is missing`;
  const [a, b] = [describe(got), describe(expected)];
  if (a !== b) return `${expected.name} is ${a}, expected ${b}`;
  const elements = elementsOf(got);
  const wanted = elementsOf(expected);
  const at = wanted.findIndex((value, index) => !same(elements[index], value, limits));
  if (at < 0) return undefined;
  return `${expected.name} [${at}] is ${String(elements[at])}, expected ${String(wanted[at])}`;
}

function same(a: unknown, b: unknown, limits: Limits | undefined): boolean {
  if (Object.is(a, b)) return true;
  if (limits === undefined || typeof b === 'string' || typeof b === 'boolean') return false;
  const far =
    typeof a === 'bigint' && typeof b === 'bigint' ? Number(a - b) : Number(a) - Number(b);
  return Math.abs(far) <= limits.atol + limits.rtol * Math.abs(Number(b));
}

function elementsOf(tensor: Tensor): unknown[] {
  if (tensor.strings !== undefined) return [...tensor.strings];
  const elements: unknown[] = [...numbersOf(tensor)];
  return tensor.dtype === 'bool' ? elements.map(Boolean) : elements;
}

function describe({ dtype, shape }: Tensor): string {
  return `${dtype} [${shape.join(', ')}]`;
}

function toOrt(tensor: Tensor): OrtTensor {
  const { dtype, shape, strings } = tensor;
  if (strings !== undefined) return new OrtTensor('string', [...strings], [...shape]);
  return new OrtTensor(dtype, arrayOf(tensor) as Float32Array, [...shape]);
}

function fromOrt(name: string, { type, dims, data }: OrtTensor): Tensor {
  if (!isDType(type)) throw new Error(`${name} is of type ${type}`);
  if (type === 'string') return stringTensor(name, data as string[], [...dims]);
  return tensorOf(name, data as NumericArray, [...dims], type);
}
