import { breathe } from '@cabstand/core';
import { NoMessage, WireCursor } from './cursor';
import { inspect } from './inspect';
import type { MessageShape } from './shape';

/** Values that are decoded in one go: about a millisecond, where nothing else takes the processor. */
export const SLICE = 2000;

/**
 * Decodes a message of any size in slices: what is in it is decoded piece by piece and put together. The
 * messages directly in it must be small or of the kind that can be cut in turn.
 *
 * @param slice values that are decoded in one go.
 */
export async function decodeInSlices(
  shape: MessageShape,
  bytes: Buffer,
  slice = SLICE,
): Promise<unknown> {
  await breathe();
  return await new SlicedDecoder(slice).decode(shape, bytes);
}

class SlicedDecoder {
  readonly #slice: number;
  #decoded = 0;

  constructor(slice: number) {
    this.#slice = slice;
  }

  async decode(shape: MessageShape, bytes: Buffer): Promise<unknown> {
    const weight = inspect(shape, bytes);
    this.#decoded += weight;
    if (this.#decoded > this.#slice) {
      await breathe();
      this.#decoded = weight;
    }
    if (weight <= this.#slice) return shape.decode(bytes);
    const { rest, parts } = cut(shape, bytes);
    if (parts.length === 0) return shape.decode(bytes);
    const message = shape.decode(Buffer.concat(rest));
    for (const { name, inner, bytes: part } of parts) {
      const place = message[name];
      // A later member of the same choice has taken its place.
      if (place === null || place === undefined) continue;
      const decoded = await this.decode(inner, part);
      if (Array.isArray(place)) place.push(decoded);
      else message[name] = decoded;
    }
    return message;
  }
}

interface Part {
  readonly name: string;
  readonly inner: MessageShape;
  readonly bytes: Buffer;
}

/** Takes the messages out of a message; in the rest an empty one stands for each that is not repeated. */
function cut(
  shape: MessageShape,
  bytes: Buffer,
): { readonly rest: Buffer[]; readonly parts: Part[] } {
  const rest: Buffer[] = [];
  const parts: Part[] = [];
  const seen = new Set<number>();
  const cursor = new WireCursor(bytes);
  while (cursor.next()) {
    const { number, from, start, end } = cursor;
    const field = shape.fields.get(number);
    if (field?.shape === undefined || field.map) {
      rest.push(bytes.subarray(from, end));
      continue;
    }
    parts.push({ name: field.name, inner: field.shape, bytes: bytes.subarray(start, end) });
    if (field.repeated) continue;
    // Two of them would have to be merged. Nobody writes that.
    if (seen.has(number)) throw new NoMessage();
    seen.add(number);
    rest.push(emptyMessage(number));
  }
  return { rest, parts };
}

/** Numbers of fields with messages are below 16 × 128 in the contract: a tag of at most two bytes. */
function emptyMessage(number: number): Buffer {
  const tag = number * 8 + 2;
  return Buffer.from(tag < 0x80 ? [tag, 0] : [(tag % 0x80) | 0x80, Math.floor(tag / 0x80), 0]);
}
