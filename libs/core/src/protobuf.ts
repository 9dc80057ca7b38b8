/**
 * Fields of protobuf, written by hand where a loader costs more than the rest of a hot path:
 * https://protobuf.dev/programming-guides/encoding. Tags are of one byte, numbers whole and not negative.
 */

/** Bytes of a field with a number. Zero is the default of proto3 and is left out. */
export function fieldSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Answers where it ends. */
export function writeField(out: Buffer, at: number, tag: number, value: number): number {
  return value === 0 ? at : writeHead(out, at, tag, value);
}

/** A tag, and the number or the length behind it, zero too. Answers where it ends. */
export function writeHead(out: Buffer, at: number, tag: number, value: number): number {
  out[at] = tag;
  return writeVarint(out, at + 1, value);
}

/** Answers where it ends. */
export function writeVarint(out: Buffer, at: number, value: number): number {
  let rest = value;
  // Division, not shifts: positions go beyond 32 bits.
  while (rest >= 0x80) {
    out[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[at++] = rest;
  return at;
}

export function varint(value: number): Buffer {
  const out = Buffer.allocUnsafe(varintSize(value));
  writeVarint(out, 0, value);
  return out;
}

/** A field with a number; empty for zero. */
export function varintField(tag: number, value: number): Buffer {
  const out = Buffer.allocUnsafe(fieldSize(value));
  writeField(out, 0, tag, value);
  return out;
}

/** What stands before a field of so many bytes. */
export function bytesHead(tag: number, length: number): Buffer {
  const head = Buffer.allocUnsafe(1 + varintSize(length));
  writeHead(head, 0, tag, length);
  return head;
}
