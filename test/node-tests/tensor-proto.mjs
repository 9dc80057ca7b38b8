// Reads the serialized TensorProto of a test's data. Field numbers are those of
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3, the rules of the bytes those of
// https://protobuf.dev/programming-guides/encoding/.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { DTYPES, arrayFrom, elementCount, stringTensor, tensorOf } = require('@cabstand/tensor');

/** TensorProto.DataType, from 1 on, as far as @cabstand/tensor has them. */
const DTYPE_NAMES = [
  ...['float32', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool'],
  ...['float16', 'float64', 'uint32', 'uint64'],
];

/** The fields that hold elements in place of raw_data, and how wide each is; 0 is a varint. */
const FLOAT_DATA = 4;
const INT32_DATA = 5;
const STRING_DATA = 6;
const INT64_DATA = 7;
const DOUBLE_DATA = 10;
const UINT64_DATA = 11;

/** @returns the tensor; throws an Error where the dtype is none that is served. */
export function readTensorProto(bytes, name) {
  const fields = { dims: [], type: 0, raw: undefined, elements: [], strings: [] };
  for (const { field, wire, value } of fieldsOf(bytes)) {
    if (field === 1) fields.dims.push(...numbers(wire, value, readVarints));
    else if (field === 2) fields.type = Number(value);
    else if (field === FLOAT_DATA) fields.elements.push(...numbers(wire, value, readFloats));
    else if (field === DOUBLE_DATA) fields.elements.push(...numbers(wire, value, readDoubles));
    else if (field === STRING_DATA) fields.strings.push(value.toString());
    else if (field === 9) fields.raw = value;
    else if (field === INT32_DATA || field === INT64_DATA || field === UINT64_DATA)
      fields.elements.push(...numbers(wire, value, readVarints));
    else if (field === 13 || field === 14) throw new Error('data in another file');
  }
  return tensorFrom(name, fields);
}

function tensorFrom(name, { dims, type, raw, elements, strings }) {
  const dtype = DTYPE_NAMES[type - 1];
  if (dtype === undefined) throw new Error(`element type ${type}`);
  const shape = dims.map(Number);
  if (dtype === 'string') return stringTensor(name, strings, shape);
  const count = elementCount(shape);
  if (raw !== undefined) {
    if (raw.length !== count * DTYPES[dtype].bytes)
      throw new Error(`${raw.length} bytes for ${dtype} [${shape}]`);
    return { name, dtype, shape, data: Uint8Array.from(raw) };
  }
  if (elements.length !== count) throw new Error(`${elements.length} elements for [${shape}]`);
  // In int32_data a float16 is its bits, and a negative number may be written as a large one.
  if (dtype === 'float16') return tensorOf(name, Uint16Array.from(elements, Number), shape, dtype);
  return tensorOf(
    name,
    arrayFrom(dtype, count, (at) => elements[at]),
    shape,
    dtype,
  );
}

function numbers(wire, value, read) {
  return wire === 2 ? read(value) : [value];
}

function readVarints(bytes) {
  const values = [];
  for (let at = 0; at < bytes.length;) {
    const [value, next] = varint(bytes, at);
    values.push(value);
    at = next;
  }
  return values;
}

function readFloats(bytes) {
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(4 * index));
}

function readDoubles(bytes) {
  return Array.from({ length: bytes.length / 8 }, (_, index) => bytes.readDoubleLE(8 * index));
}

function* fieldsOf(bytes) {
  for (let at = 0; at < bytes.length;) {
    const [tag, start] = varint(bytes, at);
    const field = Number(tag >> 3n);
    const wire = Number(tag & 7n);
    if (wire === 0) {
      const [value, next] = varint(bytes, start);
      yield { field, wire, value };
      at = next;
    } else if (wire === 2) {
      const [length, from] = varint(bytes, start);
      at = from + Number(length);
      yield { field, wire, value: bytes.subarray(from, at) };
    } else if (wire === 1 || wire === 5) {
      at = start + (wire === 1 ? 8 : 4);
      yield {
        field,
        wire,
        value: wire === 1 ? bytes.readDoubleLE(start) : bytes.readFloatLE(start),
      };
    } else throw new Error(`wire type ${wire} at byte ${at}`);
    if (at > bytes.length) throw new Error(`field ${field} ends beyond the message`);
  }
}

/** An int64 as a bigint, and where it ends. */
function varint(bytes, start) {
  let value = 0n;
  for (let at = start; at < Math.min(bytes.length, start + 10); at += 1) {
    value |= BigInt(bytes[at] & 0x7f) << BigInt(7 * (at - start));
    if (bytes[at] < 0x80) return [BigInt.asIntN(64, value), at + 1];
  }
  throw new Error(`no end of a number at byte ${start}`);
}
