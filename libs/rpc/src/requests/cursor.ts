/** Steps over the fields of one message on the wire without reading them. */
export class WireCursor {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  /** Of the field that `next` found. */
  number = 0;
  /** 0: varint, 1: 8 bytes, 2: of a length, 5: 4 bytes. */
  wireType = 0;
  /** Where the field's tag begins. */
  from = 0;
  /** Where its value begins. */
  start = 0;
  /** Behind its value. */
  end = 0;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Goes to the next field; false at the end. Throws where there is none. */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    this.from = this.#at;
    const tag = this.#varint();
    this.number = Math.floor(tag / 8);
    this.wireType = tag % 8;
    if (this.number < 1 || this.number > LARGEST_NUMBER) throw new NoMessage();
    const length = this.#length();
    this.start = this.#at;
    this.end = this.#at = this.#at + length;
    if (this.#at > this.#end) throw new NoMessage();
    return true;
  }

  #length(): number {
    switch (this.wireType) {
      case 0: {
        const start = this.#at;
        this.#varint();
        const length = this.#at - start;
        this.#at = start;
        return length;
      }
      case 1:
        return 8;
      case 2:
        return this.#varint();
      case 5:
        return 4;
      default:
        // Groups are no part of proto3.
        throw new NoMessage();
    }
  }

  /** Beyond 2^53 it is not exact: no length that fits is. */
  #varint(): number {
    let value = 0;
    let factor = 1;
    for (let index = 0; index < LONGEST_VARINT && this.#at < this.#end; index++) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
    throw new NoMessage();
  }
}

const LARGEST_NUMBER = 2 ** 29 - 1;
const LONGEST_VARINT = 10;

/** Bytes that are no message. */
export class NoMessage extends Error {}
