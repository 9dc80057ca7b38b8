/**
 * A decoder as optimum merged them until 2024: one `If` of the whole graph, told by `use_cache_branch`. Its other branch is
 * the graph without a cache: here the same nodes, with nothing of the caches that they are given.
 */
import { bytesHead, varint } from '@cabstand/core';

interface Field {
  readonly number: number;
  /** Tag and all. */
  readonly whole: Buffer;
  readonly body: Buffer;
}

const MODEL_GRAPH = 7;
const GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12, valueInfo: 13 };
const NODE = { input: 1, output: 2, op: 4, attribute: 5 };
const BOOL = 9;
const INT64 = 7;
const GRAPH_ATTRIBUTE = 5;
const PAST = /^past_key_values\./;

/** @param model of a decoder whose graph runs with and without a cache */
export function merged(model: Buffer): Buffer {
  return Buffer.concat(
    fieldsOf(model).map(({ number, whole, body }) =>
      number === MODEL_GRAPH ? bytes(number, mergedGraph(fieldsOf(body))) : whole,
    ),
  );
}

function mergedGraph(graph: readonly Field[]): Buffer {
  const of = (number: number): Field[] => graph.filter((field) => field.number === number);
  const [nodes, inputs, outputs] = [of(GRAPH.node), of(GRAPH.input), of(GRAPH.output)];
  const wholes = (fields: readonly Field[]): Buffer[] => fields.map(({ whole }) => whole);
  const branch = (own: readonly Buffer[]): Buffer =>
    Buffer.concat([...own, bytes(GRAPH.name, 'branch'), ...wholes(outputs)]);
  const pasts = inputs.map(nameOf).filter((name) => PAST.test(name));
  const condition = node('If', ['use_cache_branch'], outputs.map(nameOf), {
    then_branch: branch(wholes(nodes)),
    else_branch: branch([
      ...pasts.map((name) => node('Slice', [name, ...['zero', 'zero', 'two']], [without(name)])),
      ...nodes.map(({ body }) => bytes(GRAPH.node, withoutPasts(body))),
    ]),
  });
  return Buffer.concat([
    condition,
    ...wholes(graph.filter(({ number }) => number !== GRAPH.node && number !== GRAPH.valueInfo)),
    integer('zero', 0n),
    integer('two', 2n),
    bytes(GRAPH.input, valueInfo('use_cache_branch', BOOL)),
  ]);
}

const without = (name: string): string => (PAST.test(name) ? `none.${name}` : name);

function withoutPasts(body: Buffer): Buffer {
  return Buffer.concat(
    fieldsOf(body).map(({ number, whole, body: value }) =>
      number === NODE.input ? bytes(number, without(value.toString())) : whole,
    ),
  );
}

function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  graphs: Readonly<Record<string, Buffer>> = {},
): Buffer {
  const attributes = Object.entries(graphs).map(([name, graph]) =>
    bytes(
      NODE.attribute,
      Buffer.concat([bytes(1, name), bytes(6, graph), varint(20 << 3), varint(GRAPH_ATTRIBUTE)]),
    ),
  );
  const names = [
    ...inputs.map((name) => bytes(NODE.input, name)),
    ...outputs.map((name) => bytes(NODE.output, name)),
  ];
  return bytes(GRAPH.node, Buffer.concat([...names, bytes(NODE.op, op), ...attributes]));
}

/** An initializer of one element. */
function integer(name: string, value: bigint): Buffer {
  const data = Buffer.from(BigInt64Array.of(value).buffer);
  const type = Buffer.of(1 << 3, 1, 2 << 3, INT64);
  return bytes(GRAPH.initializer, Buffer.concat([type, bytes(8, name), bytes(9, data)]));
}

/** Of one dimension, of one element. */
function valueInfo(name: string, type: number): Buffer {
  const shape = bytes(2, bytes(1, Buffer.of(1 << 3, 1)));
  const tensor = bytes(1, Buffer.concat([Buffer.of(1 << 3, type), shape]));
  return Buffer.concat([bytes(1, name), bytes(2, tensor)]);
}

function nameOf({ body }: Field): string {
  return (
    fieldsOf(body)
      .find(({ number }) => number === 1)
      ?.body.toString() ?? ''
  );
}

function bytes(field: number, value: string | Uint8Array): Buffer {
  const body = Buffer.from(value);
  return Buffer.concat([bytesHead((field << 3) | 2, body.length), body]);
}

/** Fields of a message of which all are numbers, or have a length. */
function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const read = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const start = at;
    const tag = read();
    const length = (tag & 7) === 2 ? read() : (read(), 0);
    const body = message.subarray(at, at + length);
    at += length;
    fields.push({ number: tag >>> 3, whole: message.subarray(start, at), body });
  }
  return fields;
}
