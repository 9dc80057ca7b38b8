/**
 * Messages that come many times a second, read by hand. Only what every encoder writes for an ordinary one is read
 * here, and read as the loader reads it; anything else is left to the loader, whose checks name what is wrong.
 */
import { packageDefinition } from './proto';
import type { Tensor__Output as Tensor } from './v1';

/** Tags: field number × 8 + wire type. */
const NAME = 0x0a;
const DTYPE = 0x10;
const SHAPE = 0x1a;
const DATA = 0x22;

/** A message with more tensors, or a tensor with a longer name or shape, is not ordinary. */
const MOST_TENSORS = 64;
const MOST_NAME = 64;
const MOST_DIMENSIONS = 8;

/** By number, as the loader gives them. */
const DTYPES = dataTypes();

/** Thrown, and caught by `ordinary`, for what is not ordinary: made once, as it is nobody's error. */
const UNUSUAL = new Error('left to the loader');

/** What `read` gives; undefined where the loader has to read it, or to refuse it. */
export function ordinary<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (thrown) {
    if (thrown === UNUSUAL) return undefined;
    throw thrown;
  }
}

export function unusual(): never {
  throw UNUSUAL;
}

/** Goes over the fields of a message, which come in the order of their numbers, each once. */
export class OrdinaryReader {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  /** Adds the tensor that begins here. Its bytes are those of the message. */
  tensorTo(tensors: Tensor[], limit: number): void {
    if (tensors.length === MOST_TENSORS) throw UNUSUAL;
    tensors.push(this.#tensor(this.end(limit)));
  }

  #tensor(end: number): Tensor {
    let name = '';
    let dtype = DTYPES[0] ?? unusual();
    let data: Buffer = EMPTY;
    let shape: number[] = [];
    for (let newest = 0; this.at < end;) {
      const tag = this.tag(newest);
      newest = tag;
      if (tag === NAME) name = this.#name(this.end(end));
      else if (tag === DTYPE) dtype = DTYPES[this.number()] ?? unusual();
      else if (tag === SHAPE) shape = this.#shape(this.end(end));
      else if (tag === DATA) data = this.taken(this.end(end));
      else throw UNUSUAL;
    }
    if (this.at !== end) throw UNUSUAL;
    return { shape, strings: [], name, dtype, data };
  }

  #shape(end: number): number[] {
    const shape: number[] = [];
    while (this.at < end) {
      if (shape.length === MOST_DIMENSIONS) throw UNUSUAL;
      shape.push(this.number());
    }
    if (this.at !== end) throw UNUSUAL;
    return shape;
  }

  #name(end: number): string {
    if (end - this.at > MOST_NAME) throw UNUSUAL;
    for (let at = this.at; at < end; at++) if ((this.bytes[at] ?? 0xff) >= 0x80) throw UNUSUAL;
    const name = this.bytes.toString('latin1', this.at, end);
    this.at = end;
    return name;
  }

  /** What lies between here and `end`, where it goes on. */
  taken(end: number): Buffer {
    const taken = this.bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }

  /** A tag of one byte, behind the one before. `repeated`: the one that may come again. */
  tag(newest: number, repeated?: number): number {
    const tag = this.bytes[this.at++] ?? unusual();
    // Of several the last one would count.
    if (tag < newest || (tag === newest && tag !== repeated)) throw UNUSUAL;
    return tag;
  }

  /** Where something begins whose length comes here, and may not reach beyond `limit`: its end. */
  end(limit: number): number {
    const length = this.number();
    const end = this.at + length;
    if (end > limit) throw UNUSUAL;
    return end;
  }

  fixed32(): number {
    this.at += 4;
    return this.at <= this.bytes.length ? this.bytes.readUInt32LE(this.at - 4) : unusual();
  }

  /** A varint of at most four bytes: what is larger, or negative, is not ordinary. */
  number(): number {
    const { bytes } = this;
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[this.at++] ?? unusual();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw UNUSUAL;
  }
}

const EMPTY = Buffer.alloc(0);

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
