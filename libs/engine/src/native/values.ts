/** Tensors as ONNX Runtime sees them: descriptions of memory that JavaScript has. */
import type { Tensor } from 'onnxruntime-node';
import type { DType } from '@cabstand/tensor';
import { address } from './library';
import type { Library, Pointer } from './library';

/** Those whose elements are numbers in one piece of memory. */
export type NumericType = Exclude<DType, 'string'>;

/** Of ONNX's element types: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3, TensorProto.DataType. */
const NUMBERS: Readonly<Record<NumericType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
};
const TYPES = new Map(
  Object.entries(NUMBERS).map(([type, number]) => [number, type as NumericType]),
);

/** Undefined: its elements are text, or of a type that there are no arrays for. */
export function typeOf(number: number): NumericType | undefined {
  return TYPES.get(number);
}

/** Stands for memory of no bytes, which has no address. */
const NOTHING = new Uint8Array(8);

/** Descriptions of tensors, each made once and kept as long as its tensor is. */
export class Values {
  readonly #library: Library;
  readonly #memory: Pointer;
  readonly #known = new WeakMap<Tensor, Pointer>();
  readonly #gone: FinalizationRegistry<Pointer>;

  constructor(library: Library) {
    this.#library = library;
    const [ARENA, DEFAULT] = [1, 0];
    this.#memory = library.made((out) => library.functions.cpuMemory(ARENA, DEFAULT, out));
    this.#gone = new FinalizationRegistry((value) => {
      library.functions.releaseValue(value);
    });
  }

  /**
   * The memory stays where it is as long as the tensor is known to somebody.
   *
   * @throws Error where its elements are no numbers.
   */
  of(tensor: Tensor): Pointer {
    const known = this.#known.get(tensor);
    if (known !== undefined) return known;
    const value = this.#describe(tensor);
    this.#known.set(tensor, value);
    this.#gone.register(tensor, value);
    return value;
  }

  #describe({ type, data, dims }: Tensor): Pointer {
    const number = NUMBERS[type as NumericType] as number | undefined;
    if (number === undefined) throw new Error(`a tensor of ${type} is not one of numbers`);
    const array = data as Float32Array;
    const sizes = BigInt64Array.from(dims, BigInt);
    return this.#library.made((out) =>
      this.#library.functions.createTensor(
        ...[this.#memory, address(array.byteLength === 0 ? NOTHING : array), array.byteLength],
        ...[sizes, dims.length, number, out],
      ),
    );
  }
}
