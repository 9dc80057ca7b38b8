import { fieldsOf } from './schema';
import type { FieldSchema } from './schema';

/** What a field may hold. Integers of any size, so that those beyond 2^53 and 2^64 can be written, too. */
export type Value = bigint | number | string | boolean | Buffer | Fields | readonly Value[];

/** A message by the names of its fields. `#` and a number names a field that the contract lacks. */
export interface Fields {
  readonly [name: string]: Value | undefined;
}

const VARINT = 0;
const BITS_64 = 1;
const BYTES = 2;
const BITS_32 = 5;
const LOW_BITS = 0x7fn;
const MORE = 0x80;

/** https://protobuf.dev/programming-guides/encoding/#varints */
function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, value);
  do {
    const low = Number(left & LOW_BITS);
    left >>= 7n;
    bytes.push(left === 0n ? low : low | MORE);
  } while (left !== 0n);
  return Buffer.from(bytes);
}

function tag(number: number, wireType: number): Buffer {
  return varint((BigInt(number) << 3n) | BigInt(wireType));
}

function delimited(bytes: Buffer): Buffer {
  return Buffer.concat([varint(BigInt(bytes.length)), bytes]);
}

/** Writes a message, valid or not: fields of the contract by their names, others by their numbers. */
export function encode(message: string, fields: Fields): Buffer {
  const schema = new Map(fieldsOf(message).map((field) => [field.name, field]));
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const field = schema.get(name);
    if (field !== undefined) parts.push(...encodeField(field, value));
    else if (name.startsWith('#') && Buffer.isBuffer(value))
      parts.push(tag(Number(name.slice(1)), BYTES), delimited(value));
    else throw new Error(`${message} has no field ${name}`);
  }
  return Buffer.concat(parts);
}

function encodeField(field: FieldSchema, value: Value): Buffer[] {
  const values = Array.isArray(value) ? (value as readonly Value[]) : [value];
  const wireType = wireTypeOf(field.type);
  if (wireType === BYTES)
    return values.flatMap((one) => [tag(field.number, BYTES), delimited(encodeValue(field, one))]);
  const encoded = values.map((one) => encodeValue(field, one));
  if (field.repeated) return [tag(field.number, BYTES), delimited(Buffer.concat(encoded))];
  return encoded.flatMap((one) => [tag(field.number, wireType), one]);
}

function wireTypeOf(type: string): number {
  switch (type) {
    case 'TYPE_STRING':
    case 'TYPE_BYTES':
    case 'TYPE_MESSAGE':
      return BYTES;
    case 'TYPE_DOUBLE':
      return BITS_64;
    case 'TYPE_FLOAT':
      return BITS_32;
    default:
      return VARINT;
  }
}

function encodeValue(field: FieldSchema, value: Value): Buffer {
  switch (field.type) {
    case 'TYPE_MESSAGE':
      return typeof value === 'object' && !Buffer.isBuffer(value) && !Array.isArray(value)
        ? encode(field.of, value as Fields)
        : Buffer.alloc(0);
    case 'TYPE_STRING':
    case 'TYPE_BYTES':
      return Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : '');
    case 'TYPE_DOUBLE': {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(Number(value));
      return bytes;
    }
    case 'TYPE_FLOAT': {
      const bytes = Buffer.alloc(4);
      bytes.writeFloatLE(Number(value));
      return bytes;
    }
    default:
      return varint(typeof value === 'bigint' ? value : BigInt(Math.trunc(Number(value))));
  }
}
