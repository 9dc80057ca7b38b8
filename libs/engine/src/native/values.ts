/** Tensors as ONNX Runtime sees them: descriptions of memory that JavaScript has. */
import type { Tensor } from 'onnxruntime-node';
import { elementType, elementTypeNumber } from '@cabstand/model';
import { isDType } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { address } from './library';
import type { Library, Pointer } from './library';

/** Those whose elements are numbers in one piece of memory. */
export type NumericType = Exclude<DType, 'string'>;

/** Undefined: its elements are text, or of a type that there are no arrays for. */
export function typeOf(number: number): NumericType | undefined {
  const type = elementType(number);
  return isNumeric(type) ? type : undefined;
}

function isNumeric(type: string): type is NumericType {
  return isDType(type) && type !== 'string';
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
    if (!isNumeric(type)) throw new Error(`a tensor of ${type} is not one of numbers`);
    const number = elementTypeNumber(type);
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
