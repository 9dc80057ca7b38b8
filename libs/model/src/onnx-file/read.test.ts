import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CabstandError } from '@cabstand/core';
import { BUNDLED } from '../models.fixture';
import { readGraph, readModel } from './read';
import type { GraphSummary } from './types';
import { field, model, node, tensorType, value } from './wire.fixture';

async function readBytes(bytes: Uint8Array): Promise<GraphSummary> {
  const read = async (into: Uint8Array, position: number): Promise<number> => {
    const part = bytes.subarray(position, position + into.length);
    into.set(part);
    return part.length;
  };
  return readModel({ size: bytes.length, read }, 'a.onnx');
}

const INITIALIZER = 5;
const INPUT = 11;
const OUTPUT = 12;
const FLOAT = 1;

describe('a graph', () => {
  test.each<[string, Buffer, object]>([
    [
      'fixed, named and unnamed dimensions',
      tensorType(FLOAT, [3, 'batch', undefined, '', -1, 0]),
      { kind: 'tensor', dtype: 'float32', dims: [3, 'batch', undefined, undefined, undefined, 0] },
    ],
    ['a scalar', tensorType(7, []), { kind: 'tensor', dtype: 'int64', dims: [] }],
    ['an unknown rank', tensorType(8), { kind: 'tensor', dtype: 'string', dims: undefined }],
    ['a dtype of ONNX only', tensorType(16, []), { dtype: 'bfloat16' }],
    ['a dtype of the future', tensorType(99, []), { dtype: 'type 99' }],
    [
      'a size beyond 32 bits',
      tensorType(FLOAT, [2 ** 40]),
      { kind: 'tensor', dtype: 'float32', dims: [2 ** 40] },
    ],
    [
      'a sequence of maps',
      field(4, [field(1, [field(5, [field(1, 7), field(2, [tensorType(FLOAT, [])])])])]),
      { kind: 'sequence', dtype: 'float32', dims: [] },
    ],
    [
      'an optional',
      field(9, [field(1, [tensorType(9, ['n'])])]),
      { kind: 'optional', dtype: 'bool', dims: ['n'] },
    ],
    [
      'a sparse tensor',
      field(8, [field(1, 11), field(2, [field(1, [field(1, 5)])])]),
      { kind: 'sparse', dtype: 'float64', dims: [5] },
    ],
    ['an opaque type', field(7, [field(2, 'thing')]), { kind: 'unknown', dtype: 'undefined' }],
  ])('with %s', async (_, type, expected) => {
    const graph = await readBytes(
      model(field(INPUT, value('x', type)), field(OUTPUT, value('y', type))),
    );
    expect(graph.inputs).toEqual([expect.objectContaining({ name: 'x', ...expected })]);
    expect(graph.outputs).toEqual([expect.objectContaining({ name: 'y', ...expected })]);
  });

  test('an input with an initializer is not among those a run needs', async () => {
    const graph = await readBytes(
      model(
        field(INITIALIZER, [field(8, 'scale')]),
        field(INPUT, value('scale', tensorType(FLOAT, [1]))),
        field(INPUT, value('x', tensorType(FLOAT, [1]))),
      ),
    );
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(graph.defaulted.map(({ name }) => name)).toEqual(['scale']);
    expect(graph.initializers).toEqual(new Set(['scale']));
  });

  test('external data are found wherever a tensor may be; data inside the file are not', async () => {
    const entry = (key: string, text: string): Buffer => field(13, [field(1, key), field(2, text)]);
    const external = (location: string, where = 1): Buffer[] => [
      entry('location', location),
      entry('offset', '4096'),
      field(14, where),
    ];
    const graph = await readBytes(
      model(
        node(
          'Constant',
          [],
          ['c'],
          field(5, [field(1, 'value'), field(5, external('constant.bin'))]),
        ),
        field(INITIALIZER, [field(8, 'w'), ...external('weights.bin')]),
        field(INITIALIZER, [field(8, 'v'), ...external('weights.bin')]),
        field(INITIALIZER, [field(8, 'u'), ...external('inside.bin', 0)]),
        field(15, [
          field(1, [field(8, 's'), ...external('values.bin')]),
          field(2, external('indices.bin')),
        ]),
      ),
    );
    expect(graph.externalFiles).toEqual([
      'constant.bin',
      'weights.bin',
      'values.bin',
      'indices.bin',
    ]);
    expect(graph.initializers).toEqual(new Set(['w', 'v', 'u', 's']));
  });

  test('the model says who made it', async () => {
    const bytes = Buffer.concat([
      model(),
      field(2, 'pytorch'),
      field(4, 'org.example'),
      field(5, 3),
      field(6, 'Answers.'),
      field(8, [field(1, 'ai.onnx.ml'), field(2, 4)]),
      field(14, [field(1, '__proto__'), field(2, 'ü'.repeat(40_000))]),
    ]);
    const { irVersion, opsets, metadata } = await readBytes(bytes);
    expect({ irVersion, opsets, ...metadata }).toEqual({
      irVersion: 8,
      opsets: [
        { domain: '', version: 17 },
        { domain: 'ai.onnx.ml', version: 4 },
      ],
      producer: 'pytorch',
      docString: 'Answers.',
      domain: 'org.example',
      modelVersion: 3,
      // A long value is cut, not refused.
      properties: new Map([['__proto__', 'ü'.repeat(32_768)]]),
    });
  });
});

test('weights are not read', async () => {
  /** The start of a field that goes on for `length` bytes. */
  const open = (number: number, length: number): Buffer =>
    Buffer.concat([field(number, '').subarray(0, 1), field(1, length).subarray(1)]);
  const weights = 3 * 2 ** 30;
  const rawData = open(9, weights);
  const name = field(8, 'w');
  const initializer = Buffer.concat([
    open(INITIALIZER, rawData.length + weights + name.length),
    rawData,
  ]);
  const output = field(OUTPUT, value('w', tensorType(FLOAT, [1])));
  const back = Buffer.concat([name, output]);
  const graph = open(7, initializer.length + weights + back.length);
  const front = Buffer.concat([field(1, 8), graph, initializer]);
  let bytesRead = 0;
  const read = async (into: Uint8Array, position: number): Promise<number> => {
    bytesRead += into.length;
    for (let index = 0; index < into.length; index += 1) {
      const at = position + index;
      into[index] = (at < front.length ? front[at] : back[at - front.length - weights]) ?? 0;
    }
    return into.length;
  };
  const size = front.length + weights + back.length;
  await expect(readModel({ size, read }, 'large.onnx')).resolves.toMatchObject({
    initializers: new Set(['w']),
    outputs: [{ name: 'w' }],
  });
  expect(bytesRead).toBeLessThan(20_000);
});

test('lists of numbers in attributes, such as forests of trees, are not read', async () => {
  const list = (number: number): Buffer =>
    field(5, [field(1, 'list'), ...Array<Buffer>(100_000).fill(field(number, 1))]);
  const bytes = model(
    node('TreeEnsemble', ['x'], ['y'], list(8), list(8)),
    field(OUTPUT, value('y')),
  );
  let bytesRead = 0;
  const read = async (into: Uint8Array, position: number): Promise<number> => {
    bytesRead += into.length;
    return bytes.copy(into, 0, position);
  };
  const graph = await readModel({ size: bytes.length, read }, 'forest.onnx');
  expect(graph).toMatchObject({
    nodes: [{ inputs: ['x'], outputs: ['y'] }],
    outputs: [{ name: 'y' }],
  });
  expect(bytesRead).toBeLessThan(20_000);
});

describe('what is not an ONNX file', () => {
  const nested = (levels: number): Buffer[] =>
    levels === 0 ? [] : [field(4, [field(1, nested(levels - 1))])];
  test.each<[string, Buffer, number, string]>([
    ['nothing', Buffer.alloc(0), 0, 'an ir_version'],
    ['no graph', field(1, 8), 2, 'a graph'],
    ['no ir_version', field(7, []), 2, 'an ir_version'],
    ['a text', Buffer.from('version https://git-lfs.github.com/spec/v1'), 0, 'wire type'],
    ['a length beyond the end', Buffer.from([0x3a, 100, 1, 2]), 2, 'at most 2 bytes'],
    [
      'a length below zero',
      Buffer.from([0x3a, ...field(1, -1).subarray(1)]),
      11,
      'at most 0 bytes',
    ],
    [
      'a message longer than the one around it',
      Buffer.from([0x3a, 2, 0x0a, 5, 0, 0, 0, 0]),
      4,
      'at most 0 bytes',
    ],
    ['a number cut short', Buffer.from([0x08, 0x80]), 1, 'ten bytes'],
    [
      'a number of eleven bytes',
      Buffer.from([8, ...Array<number>(10).fill(0x80), 1]),
      1,
      'ten bytes',
    ],
    ['a fixed64 cut short', Buffer.from([0x09, 1, 2]), 1, 'at most 2 bytes'],
    ['field 0', Buffer.from([0x02, 0]), 0, 'the number of a field'],
    ['a group', Buffer.from([0x0b, 0x0c]), 0, 'wire type'],
    ['types within types', model(field(INPUT, value('x', ...nested(60)))), 0, '100 messages'],
    ['a long name', model(field(INPUT, value('x'.repeat(65_537)))), 0, '65536 bytes'],
  ])('%s', async (_, bytes, offset, expected) => {
    const error: unknown = await readBytes(bytes).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      reason: 'MANIFEST_INVALID',
      message: expect.stringMatching(/^a\.onnx: not an ONNX file: at byte \d+: got .*, expected /),
      metadata: { file: 'a.onnx', expected: expect.stringContaining(expected) },
    });
    if (offset > 0) expect((error as CabstandError).metadata['offset']).toBe(String(offset));
  });

  test('more nodes than a graph may have', async () => {
    const nodes = Buffer.alloc(2 * 1_000_001);
    for (let at = 0; at < nodes.length; at += 2) nodes[at] = 0x0a;
    await expect(readBytes(model(nodes))).rejects.toThrow('at most 1000000 nodes');
  });

  test('names for more than 64 MiB', async () => {
    const names = Array<Buffer>(1100).fill(field(1, 'x'.repeat(65_000)));
    await expect(readBytes(model(field(1, names)))).rejects.toThrow('beside the weights');
  });
});

describe('the file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-file-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  const refusal = async (name: string): Promise<unknown> =>
    readGraph(join(folder, name)).catch((thrown: unknown) => thrown);

  test.each([
    ['that is not there', 'none.onnx', 'ENOENT'],
    ['that is a folder', '.', 'it is no regular file'],
    ['that is a pipe, of which a read would wait', 'pipe', 'it is no regular file'],
  ])('%s', async (_, name, expected) => {
    if (name === 'pipe') execFileSync('sh', ['-c', 'mkfifo "$0"', join(folder, name)]);
    const error = await refusal(name);
    expect(error).toMatchObject({
      reason: 'MANIFEST_INVALID',
      message: expect.stringContaining(`${join(folder, name)}: cannot be read: ${expected}`),
    });
  });

  test('that was cut short is refused by its name; the whole one is read', async () => {
    const bytes = readFileSync(join(BUNDLED, 'g2p/1/encoder.onnx'));
    const file = join(folder, 'cut.onnx');
    writeFileSync(file, bytes.subarray(0, bytes.length / 2));
    await expect(readGraph(file)).rejects.toThrow(
      /^\S+cut\.onnx: not an ONNX file: at byte \d+: got \d+, .* it seems cut off$/,
    );
    writeFileSync(file, bytes);
    await expect(readGraph(file)).resolves.toMatchObject({ outputs: [{ name: 'h_next' }] });
  });
});
