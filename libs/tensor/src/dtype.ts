/** Element types, named as in ONNX Runtime's Node binding. */
export type DType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'
  | 'string';

export type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

interface ArrayConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NumericArray;
}

/** Names of the values of cabstand.v1.DataType. */
export type WireDType = `DATA_TYPE_${Uppercase<DType>}`;

interface DTypeRow {
  /** Bytes of an element; 0 for strings. */
  readonly bytes: number;
  readonly array: ArrayConstructor | undefined;
  /** Name of the enum value in cabstand.v1.DataType. */
  readonly wire: WireDType;
}

const row = (name: DType, array: ArrayConstructor | undefined): DTypeRow => ({
  bytes: array?.BYTES_PER_ELEMENT ?? 0,
  array,
  wire: `DATA_TYPE_${name.toUpperCase() as Uppercase<DType>}`,
});

/** float16 has no array type on Node 20: its bits are in a Uint16Array. */
export const DTYPES: Readonly<Record<DType, DTypeRow>> = {
  float32: row('float32', Float32Array),
  float64: row('float64', Float64Array),
  float16: row('float16', Uint16Array),
  int8: row('int8', Int8Array),
  int16: row('int16', Int16Array),
  int32: row('int32', Int32Array),
  int64: row('int64', BigInt64Array),
  uint8: row('uint8', Uint8Array),
  uint16: row('uint16', Uint16Array),
  uint32: row('uint32', Uint32Array),
  uint64: row('uint64', BigUint64Array),
  bool: row('bool', Uint8Array),
  string: row('string', undefined),
};

const BY_WIRE = new Map(
  (Object.entries(DTYPES) as [DType, DTypeRow][]).map(([name, value]) => [value.wire, name]),
);

const IN_ORDER = Object.keys(DTYPES) as DType[];

/** The number of DATA_TYPE_* in tensor.proto, whose order is that of `DTYPES`. */
export const DTYPE_NUMBERS = Object.fromEntries(
  IN_ORDER.map((dtype, index) => [dtype, index + 1]),
) as Readonly<Record<DType, number>>;

/** Undefined for a number that tensor.proto does not have. */
export function dtypeOfNumber(number: number): DType | undefined {
  return IN_ORDER[number - 1];
}

export function isDType(value: string): value is DType {
  return Object.hasOwn(DTYPES, value);
}

/** The dtype of a cabstand.v1.DataType name, or undefined. */
export function dtypeFromWire(wire: string): DType | undefined {
  return BY_WIRE.get(wire as WireDType);
}
