/**
 * Writes protocol buffers by hand: the few rules that ONNX files need, as of
 * https://protobuf.dev/programming-guides/encoding/.
 */

/** A field's number, and its value as bytes of the wire. */
export type Field = Buffer;

/** Base 128 varint; a negative number takes ten bytes, as int64 does. */
function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

export function integer(field: number, value: number | bigint): Field {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

/** A float32. */
export function float(field: number, value: number): Field {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), bytes]);
}

export function bytes(field: number, value: Uint8Array): Field {
  return Buffer.concat([varint((field << 3) | 2), varint(value.byteLength), value]);
}

export function text(field: number, value: string): Field {
  return bytes(field, Buffer.from(value, 'utf8'));
}

export function message(field: number, fields: readonly Field[]): Field {
  return bytes(field, Buffer.concat(fields));
}
