/** Writes the few protocol buffers that tests need, broken ones included. */

function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}

/** A field: a number is a varint, a text or a list of fields is a string or message. */
export function field(number: number, value: number | bigint | string | readonly Buffer[]): Buffer {
  if (typeof value === 'number' || typeof value === 'bigint')
    return Buffer.from([...varint(number * 8), ...varint(value)]);
  const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.concat(value);
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
}

/** ModelProto with the fields of a graph. */
export function model(...graph: readonly Buffer[]): Buffer {
  return Buffer.concat([field(1, 8), field(7, graph), field(8, [field(1, ''), field(2, 17)])]);
}

/** ValueInfoProto with the field of TypeProto. */
export function value(name: string, ...type: readonly Buffer[]): Buffer[] {
  return [field(1, name), field(2, type)];
}

/** TypeProto's tensor_type, with a TensorShapeProto unless `dims` is undefined. */
export function tensorType(
  element: number,
  dims?: readonly (number | string | undefined)[],
): Buffer {
  const shape = dims?.map((size) =>
    field(1, size === undefined ? [] : [field(typeof size === 'number' ? 1 : 2, size)]),
  );
  return field(1, [field(1, element), ...(shape === undefined ? [] : [field(2, shape)])]);
}

export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  ...more: readonly Buffer[]
): Buffer {
  return field(1, [
    ...inputs.map((name) => field(1, name)),
    ...outputs.map((name) => field(2, name)),
    field(4, op),
    ...more,
  ]);
}
