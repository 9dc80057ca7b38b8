import { CabstandError } from '@cabstand/core';
import { NoMessage, WireCursor } from './cursor';
import { checkCount, checkText, checkValues } from './limits';
import type { FieldShape, MessageShape } from './shape';

/** Bytes of text that cost as much to decode as one value. */
const TEXT_OF_A_VALUE = 512;

/**
 * Checks a request before it is decoded: nothing in it is unknown to this version, and nothing beyond its
 * limits. Answers about how many values are to be decoded.
 *
 * @throws CabstandError UNIMPLEMENTED naming message and field number, or LIMIT_EXCEEDED.
 * @throws NoMessage where the bytes are none.
 */
export function inspect(shape: MessageShape, bytes: Uint8Array): number {
  const inspection = new Inspection(bytes);
  inspection.message(shape, 0, bytes.length);
  return inspection.weight;
}

class Inspection {
  readonly #bytes: Uint8Array;
  #values = 0;
  #text = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get weight(): number {
    return this.#values + this.#text / TEXT_OF_A_VALUE;
  }

  message(shape: MessageShape, start: number, end: number): void {
    const cursor = new WireCursor(this.#bytes, start, end);
    let text = 0;
    let counts: number[] | undefined;
    while (cursor.next()) {
      const field = shape.fields.get(cursor.number);
      if (field === undefined) throw unknownField(shape, cursor.number);
      checkValues(++this.#values);
      if (field.repeated) {
        counts ??= [];
        const count = (counts[cursor.number] ?? 0) + 1;
        counts[cursor.number] = count;
        checkCount(field.limit, count);
      }
      const length = cursor.end - cursor.start;
      if (cursor.wireType !== field.wireType) {
        this.#packed(field, cursor.wireType, length);
        continue;
      }
      if (field.kind === 'text') {
        text += length;
        this.#text += length;
        checkText(field.limit, length, text);
      }
      if (field.shape !== undefined) this.message(field.shape, cursor.start, cursor.end);
    }
  }

  /** Numbers may come many at once, each as long as its type is, or at least a byte. */
  #packed(field: FieldShape, wireType: number, length: number): void {
    if (wireType !== 2 || field.kind !== 'number' || !field.repeated) throw new NoMessage();
    this.#values += length / (WIDTHS[field.wireType] ?? 1);
    checkValues(this.#values);
  }
}

/** Bytes of a number, by wire type. */
const WIDTHS: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** Whoever sets it wants something, which must not be dropped in silence. */
function unknownField({ name }: MessageShape, number: number): CabstandError {
  const feature = `${name} field ${number}`;
  return new CabstandError(
    'UNIMPLEMENTED',
    `${feature} is not known to this version, so what it asks for cannot be done`,
    { metadata: { feature } },
  );
}
