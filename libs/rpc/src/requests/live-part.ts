/**
 * Parts of live input, read by hand: the one request that comes many times a second. Only what every encoder
 * writes for an ordinary part is read here, and read as the loader reads it; anything else is left to the
 * loader, whose checks name what is wrong.
 */
import { packageDefinition } from '../proto';
import type { SessionStreamRequest__Output } from '../v1';

type Part = NonNullable<SessionStreamRequest__Output['input']>;
type Tensor = Part['inputs'][number];

/** Tags: field number × 8 + wire type. */
const INPUT = 0x22;
const TURN = 0x08;
const PART = 0x10;
const TENSOR = 0x1a;
const LAST = 0x20;
const NAME = 0x0a;
const DTYPE = 0x10;
const SHAPE = 0x1a;
const DATA = 0x22;

/** A part with more tensors, or a tensor with a longer name or shape, is not ordinary. */
const MOST_TENSORS = 64;
const MOST_NAME = 64;
const MOST_DIMENSIONS = 8;

/** By number, as the loader gives them. */
const DTYPES = dataTypes();

/** Undefined where the loader has to read it, or to refuse it. Its tensors' bytes are those of `bytes`. */
export function readLivePart(bytes: Buffer): SessionStreamRequest__Output | undefined {
  if (bytes[0] !== INPUT) return undefined;
  return new PartReader(bytes).request();
}

/** Thrown, and caught here, for what is not ordinary: made once, as it is nobody's error. */
const UNUSUAL = new Error('left to the loader');

class PartReader {
  readonly #bytes: Buffer;
  #at = 1;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  request(): SessionStreamRequest__Output | undefined {
    try {
      if (this.#end(this.#bytes.length) !== this.#bytes.length) return undefined;
      return { input: this.#part(), message: 'input' };
    } catch (thrown) {
      if (thrown === UNUSUAL) return undefined;
      throw thrown;
    }
  }

  #part(): Part {
    const part: Part = { inputs: [], turn: 0, part: 0, last: false };
    // Fields come in the order of their numbers, each once: of several the last one would count.
    for (let newest = 0; this.#at < this.#bytes.length;) {
      const tag = this.#tag(newest, TENSOR);
      newest = tag;
      if (tag === TURN) part.turn = this.#number();
      else if (tag === PART) part.part = this.#number();
      else if (tag === LAST) part.last = this.#number() !== 0;
      else if (tag === TENSOR && part.inputs.length < MOST_TENSORS)
        part.inputs.push(this.#tensor(this.#end(this.#bytes.length)));
      else throw UNUSUAL;
    }
    return part;
  }

  #tensor(end: number): Tensor {
    let name = '';
    let dtype = DTYPES[0] ?? unusual();
    let data: Buffer = EMPTY;
    let shape: number[] = [];
    for (let newest = 0; this.#at < end;) {
      const tag = this.#tag(newest);
      newest = tag;
      if (tag === NAME) name = this.#name(this.#end(end));
      else if (tag === DTYPE) dtype = DTYPES[this.#number()] ?? unusual();
      else if (tag === SHAPE) shape = this.#shape(this.#end(end));
      else if (tag === DATA) {
        const to = this.#end(end);
        data = this.#bytes.subarray(this.#at, to);
        this.#at = to;
      } else throw UNUSUAL;
    }
    if (this.#at !== end) throw UNUSUAL;
    return { shape, strings: [], name, dtype, data };
  }

  #shape(end: number): number[] {
    const shape: number[] = [];
    while (this.#at < end) {
      if (shape.length === MOST_DIMENSIONS) throw UNUSUAL;
      shape.push(this.#number());
    }
    if (this.#at !== end) throw UNUSUAL;
    return shape;
  }

  #name(end: number): string {
    if (end - this.#at > MOST_NAME) throw UNUSUAL;
    for (let at = this.#at; at < end; at++) if ((this.#bytes[at] ?? 0xff) >= 0x80) throw UNUSUAL;
    const name = this.#bytes.toString('latin1', this.#at, end);
    this.#at = end;
    return name;
  }

  /** A tag of one byte, behind the one before. `repeated`: the one that may come again. */
  #tag(newest: number, repeated?: number): number {
    const tag = this.#bytes[this.#at++] ?? unusual();
    if (tag < newest || (tag === newest && tag !== repeated)) throw UNUSUAL;
    return tag;
  }

  /** Where something begins whose length comes here, and may not reach beyond `limit`: its end. */
  #end(limit: number): number {
    const length = this.#number();
    const end = this.#at + length;
    if (end > limit) throw UNUSUAL;
    return end;
  }

  /** A varint of at most four bytes: what is larger, or negative, is not ordinary. */
  #number(): number {
    const bytes = this.#bytes;
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[this.#at++] ?? unusual();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw UNUSUAL;
  }
}

const EMPTY = Buffer.alloc(0);

function unusual(): never {
  throw UNUSUAL;
}

function dataTypes(): readonly Tensor['dtype'][] {
  const found = packageDefinition['cabstand.v1.DataType'];
  if (found === undefined || !('format' in found) || !('value' in found.type))
    throw new Error('the contract has no DataType');
  const values = found.type.value as readonly { readonly name: string; readonly number: number }[];
  const names: Tensor['dtype'][] = [];
  // Names of the contract's own enum.
  for (const { name, number } of values) names[number] = name as Tensor['dtype'];
  return names;
}
