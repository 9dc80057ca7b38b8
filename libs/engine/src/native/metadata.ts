/** What a graph says of its inputs and outputs, and what a tensor is. */
import type { InferenceSession } from 'onnxruntime-node';
import { NOBODY, textAt } from './library';
import type { Library, Pointer } from './library';
import type { Runtime } from './shared';
import { typeOf } from './values';
import type { NumericType } from './values';

export type Metadata = InferenceSession.TensorValueMetadata;

/** @throws Error where one of them is not a tensor of numbers. */
export function metadataOf(
  { library, allocator }: Runtime,
  session: Pointer,
  side: 'input' | 'output',
): Metadata[] {
  const { functions } = library;
  const { count, nameAt, typeAt } =
    side === 'input'
      ? { count: functions.inputCount, nameAt: functions.inputName, typeAt: functions.inputType }
      : {
          count: functions.outputCount,
          nameAt: functions.outputName,
          typeAt: functions.outputType,
        };
  const length = Number(library.made((out) => count(session, out)));
  return Array.from({ length }, (_, index) => {
    const at = library.made((out) => nameAt(session, index, allocator, out));
    const name = textAt(at);
    library.check(functions.free(allocator, at));
    const type = library.made((out) => typeAt(session, index, out));
    try {
      return { name, isTensor: true, ...declared(library, name, type) };
    } finally {
      functions.releaseType(type);
    }
  });
}

/** Of a tensor, or of what a graph says of one: sizes that it leaves open are -1. */
export function shapeOf(
  library: Library,
  info: Pointer,
): { readonly type: NumericType; readonly dims: readonly number[] } {
  const { functions } = library;
  // An enumeration has 4 bytes, which are the first ones on all these machines.
  const number = Number(library.made((out) => functions.elementType(info, out)));
  const type = typeOf(number);
  if (type === undefined) throw new Error(`its elements are of ONNX's type ${number}`);
  const rank = Number(library.made((out) => functions.rank(info, out)));
  const dims = new BigInt64Array(rank);
  if (rank > 0) library.check(functions.dimensions(info, dims, rank));
  return { type, dims: Array.from(dims, Number) };
}

/** Sizes that the graph leaves open are names, or ''. */
function declared(library: Library, name: string, type: Pointer): Pick<Metadata, 'type' | 'shape'> {
  const { functions } = library;
  const info = library.made((out) => functions.asTensorInfo(type, out));
  if (info === NOBODY) throw new Error(`'${name}' is no tensor`);
  const { type: element, dims } = shapeOf(library, info);
  const names = new BigUint64Array(Math.max(1, dims.length));
  if (dims.length > 0) library.check(functions.dimensionNames(info, names, dims.length));
  const shape = dims.map((size, axis) => (size >= 0 ? size : textAt(names[axis] as Pointer)));
  return { type: element, shape };
}
