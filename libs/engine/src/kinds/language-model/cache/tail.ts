/**
 * A tail for the graph of a decoder: nodes that give only what a run adds to its cache, and only the scores of the
 * last token. ONNX Runtime's binding copies each output that is fetched, and a cache grows long. A message of
 * protobuf that is put behind another one is merged into it, so nothing of the model is parsed:
 * https://protobuf.dev/programming-guides/encoding/#last-one-wins. Field numbers are those of
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
 */
import { bytesHead, varint } from '@cabstand/core';
import type { CacheLayout, LanguageModelProgram } from '@cabstand/model';

/** Names of the tail begin with it, so that no exporter's do. */
const PREFIX = 'cabstand.tail.';

/** Scores of the last token only, [rows, 1, vocabulary]. */
export const LAST_SCORES = `${PREFIX}scores`;

/** Columns of one tensor that a run added, [rows, heads, tokens, size]. */
export function freshName(present: string): string {
  return `${PREFIX}${present}`;
}

const LENGTH_DELIMITED = 2;
const INT64 = 7;
const ELEMENT_TYPES = { float32: 1, float16: 10 } as const;
const INT_ATTRIBUTE = 2;
const END = 2n ** 62n;

const number = (field: number, value: number): Buffer =>
  Buffer.concat([varint(field << 3), varint(value)]);

function bytes(field: number, value: string | Uint8Array): Buffer {
  const body = Buffer.from(value);
  return Buffer.concat([bytesHead((field << 3) | LENGTH_DELIMITED, body.length), body]);
}

function node(
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, number>> = {},
): Buffer {
  return bytes(
    1,
    Buffer.concat([
      ...inputs.map((name) => bytes(1, name)),
      bytes(2, output),
      bytes(3, `${PREFIX}node.${output}`),
      bytes(4, op),
      ...Object.entries(attributes).map(([name, value]) =>
        bytes(5, Buffer.concat([bytes(1, name), number(3, value), number(20, INT_ATTRIBUTE)])),
      ),
    ]),
  );
}

/** @param dims none: a scalar */
function integers(name: string, dims: readonly number[], values: readonly bigint[]): Buffer {
  const data = Buffer.from(BigInt64Array.from(values).buffer);
  const sizes = dims.map((size) => number(1, size));
  return bytes(5, Buffer.concat([...sizes, number(2, INT64), bytes(8, name), bytes(9, data)]));
}

function output(name: string, dtype: CacheLayout['dtype']): Buffer {
  const type = bytes(2, bytes(1, number(1, ELEMENT_TYPES[dtype])));
  return bytes(12, Buffer.concat([bytes(1, name), type]));
}

const constant = (name: string): string => `${PREFIX}${name}`;

const placesName = (heads: number): string => constant(`places.${heads}`);

/** Where the graph writes new columns: the last ones of those that the mask of each row counts. [rows, heads, tokens, 1] */
function placesOf({ tensors }: CacheLayout, axis1: string): Buffer[] {
  const name = constant;
  const parts = [
    integers(name('zero'), [], [0n]),
    integers(name('one'), [], [1n]),
    integers(name('by rows'), [4], [-1n, 1n, 1n, 1n]),
    integers(name('by tokens'), [4], [1n, 1n, -1n, 1n]),
    node('Shape', ['input_ids'], name('ids')),
    node('Gather', [name('ids'), name('one')], name('tokens'), { axis: 0 }),
    node('Range', [name('zero'), name('tokens'), name('one')], name('range')),
    node('ReduceSum', ['attention_mask', axis1], name('totals'), { keepdims: 0 }),
    node('Sub', [name('totals'), name('tokens')], name('starts')),
    node('Reshape', [name('starts'), name('by rows')], name('rows')),
    node('Reshape', [name('range'), name('by tokens')], name('columns')),
    node('Add', [name('rows'), name('columns')], name('places')),
  ];
  for (const heads of new Set(tensors.map((tensor) => tensor.heads)))
    parts.push(
      integers(
        name(`heads.${heads}`),
        [1, heads, 1, 1],
        Array.from({ length: heads }, () => 1n),
      ),
      node('Mul', [name('places'), name(`heads.${heads}`)], placesName(heads)),
    );
  return parts;
}

/**
 * What is to stand behind the model's bytes.
 *
 * @param columns whether what a run adds to the cache can be fetched alone, too
 */
export function tailOf({ cache, logitsDtype }: LanguageModelProgram, columns = true): Buffer {
  const [last, end] = ['last', 'end'].map(constant) as [string, string];
  const one = constant('axis1');
  const parts = [
    integers(one, [1], [1n]),
    integers(last, [1], [-1n]),
    integers(end, [1], [END]),
    node('Slice', ['logits', last, end, one], LAST_SCORES),
    output(LAST_SCORES, logitsDtype),
  ];
  if (columns) parts.push(...columnsOf(cache, one));
  return bytes(7, Buffer.concat(parts));
}

function columnsOf(cache: CacheLayout, one: string): Buffer[] {
  const [axis, end, start] = ['axis2', 'end', 'start'].map(constant) as [string, string, string];
  const parts: Buffer[] = [];
  if (cache.kind === 'fixed') parts.push(...placesOf(cache, one));
  else
    parts.push(
      integers(axis, [1], [2n]),
      node('Shape', [cache.tensors[0]?.past ?? ''], constant('past')),
      node('Gather', [constant('past'), axis], start, { axis: 0 }),
    );
  for (const { present, heads } of cache.tensors) {
    const name = freshName(present);
    parts.push(
      cache.kind === 'fixed'
        ? node('GatherND', [present, placesName(heads)], name, { batch_dims: 2 })
        : node('Slice', [present, start, end, axis], name),
      output(name, cache.dtype),
    );
  }
  return parts;
}
