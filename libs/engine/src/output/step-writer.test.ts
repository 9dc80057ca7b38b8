import fc from 'fast-check';
import { codecs } from '@cabstand/rpc';
import { DTYPES, fromWire } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { decodeFrame } from '../frames/codec';
import { PREFIX } from '../frames/layout';
import { decodeChunk } from '../verify/decode-chunk';
import type { StepFrame } from '../frames/types';
import { StepWriter, stringTensorBytes, tensorPrefix } from './step-writer';

const NUMERIC = (Object.keys(DTYPES) as DType[]).filter((dtype) => dtype !== 'string');

const output = fc
  .record({
    name: fc.string({ maxLength: 200 }),
    dtype: fc.constantFrom(...NUMERIC),
    shape: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 3 }),
  })
  .chain(({ name, dtype, shape }) => {
    const bytes = shape.reduce((product, size) => product * size, 1) * DTYPES[dtype].bytes;
    return fc
      .uint8Array({ minLength: bytes, maxLength: bytes })
      .map((data) => ({ name, dtype, shape, data }));
  });

test('chunks are what protobuf makes of them, and the bytes they are charged for', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.array(output, { maxLength: 3 }), fc.string({ unit: 'binary' })), {
        maxLength: 4,
      }),
      (chunks) => {
        const out = new StepWriter();
        const charged = chunks.map(([outputs, text], sequence) => {
          out.beginChunk(sequence, 7);
          for (const { name, dtype, shape, data } of outputs)
            out.tensor(tensorPrefix(name, dtype, shape, data.length), data, 0, data.length);
          out.text(text);
          return out.endChunk();
        });
        const [bytes = Buffer.alloc(0)] = out.take(chunks.length, 0.5);
        const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
        if (frame.type !== 'STEP') throw new Error(frame.type);
        expect(frame).toMatchObject({ batch: chunks.length, seconds: 0.5 });
        frame.items.forEach((item, index) => {
          if (item.kind !== 'chunk') throw new Error(item.kind);
          const [outputs, text] = chunks[index] ?? [[], ''];
          expect(item.chunk).toHaveLength(charged[index] ?? -1);
          const message = codecs.Chunk.decode(item.chunk);
          const expected = {
            outputs: outputs.map((one) => ({ ...one, data: Buffer.from(one.data) })),
            text,
          };
          const plain = (tensors: readonly { data: Uint8Array }[]): unknown[] =>
            tensors.map((tensor) => ({ ...tensor, data: Buffer.from(tensor.data) }));
          expect({ outputs: plain(message.outputs.map(fromWire)), text: message.text }).toEqual(
            expected,
          );
          const own = decodeChunk(item.chunk);
          expect({ outputs: plain(own.outputs), text: own.text }).toEqual(expected);
        });
      },
    ),
  );
});

test('string outputs are what protobuf makes of them', () => {
  const bytes = stringTensorBytes('words', [2], ['naïve', '']);
  const { outputs } = codecs.Chunk.decode(bytes);
  expect(outputs.map(fromWire)).toEqual([
    { name: 'words', dtype: 'string', shape: [2], data: new Uint8Array(0), strings: ['naïve', ''] },
  ]);
});

test('a chunk that is taken back leaves nothing behind', () => {
  const out = new StepWriter();
  out.taken(1, 2, 3);
  out.beginChunk(1, 2);
  out.text('half a record');
  out.dropChunk();
  out.end(1, 2, { reason: 'completed', steps: 0 });
  const [bytes = Buffer.alloc(0)] = out.take(1, 0);
  expect(decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX))).toMatchObject({
    items: [{ kind: 'taken' }, { kind: 'end' }],
  });
});

const framesOf = (writer: StepWriter): StepFrame[] =>
  writer.take(3, 0.5).map((bytes) => {
    const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
    if (frame.type !== 'STEP') throw new Error(frame.type);
    return frame;
  });

test('records that are too many for one frame come in several, in order', () => {
  const out = new StepWriter();
  const data = new Uint8Array(5 * 1024 * 1024);
  for (let sequence = 0; sequence < 5; sequence += 1) {
    out.beginChunk(sequence, 0);
    out.tensor(tensorPrefix('y', 'uint8', [data.length], data.length), data, 0, data.length);
    out.endChunk();
    out.end(sequence, 0, { reason: 'completed', steps: 1 });
  }
  const frames = framesOf(out);
  expect(frames.map(({ batch }) => batch)).toEqual([0, 0, 3]);
  expect(
    frames.flatMap(({ items }) => items.map(({ sequence, kind }) => [sequence, kind])),
  ).toEqual(
    [0, 1, 2, 3, 4].flatMap((sequence) => [
      [sequence, 'chunk'],
      [sequence, 'end'],
    ]),
  );
  expect(out.empty).toBe(true);
});

test('a record that no message can hold is refused, and leaves nothing behind', () => {
  const out = new StepWriter();
  const data = new Uint8Array(33 * 1024 * 1024);
  out.beginChunk(1, 0);
  const write = (): void =>
    out.tensor(tensorPrefix('y', 'uint8', [data.length], data.length), data, 0, data.length);
  expect(write).toThrow(/the model answers with \d+ bytes or more, a record has at most 33554432/);
  out.dropChunk();
  expect(out.empty).toBe(true);
});

test('what is not known when a record begins is known when it ends', () => {
  const out = new StepWriter();
  out.beginRecord(1, 0, { field: 4, flags: 0, point: 7, chain: 0 });
  out.text('one');
  const body = Buffer.from(out.body);
  expect(out.endRecord({ flags: 3, chain: 0xfffffffe })).toBe(body.length);
  out.beginRecord(2, 0, { field: 8, flags: 0, point: 8, chain: 9 });
  out.bytes(Buffer.from('body'));
  expect(out.endRecord()).toBe(4);
  const [frame] = framesOf(out);
  expect(codecs.Chunk.decode(body).text).toBe('one');
  expect(frame?.items).toEqual([
    {
      kind: 'record',
      ...{ sequence: 1, turn: 0, field: 4, flags: 3, point: 7, chain: 0xfffffffe, body },
    },
    {
      kind: 'record',
      ...{ sequence: 2, turn: 0, field: 8, flags: 0, point: 8, chain: 9 },
      body: Buffer.from('body'),
    },
  ]);
});

test('a record that is kept back leaves nothing behind until it is written, then it is the same', () => {
  const out = new StepWriter();
  out.taken(1, 2, 3);
  out.beginRecord(1, 2, { field: 4, flags: 0, point: 5, chain: 0 });
  out.text('kept');
  const kept = out.keepRecord({ flags: 1 });
  out.notice({ sequence: 3, turn: 0, name: 'level', json: '0.5' });
  const [before] = framesOf(out);
  expect(before?.items).toEqual([
    { kind: 'taken', sequence: 1, turn: 2, parts: 3 },
    { kind: 'notice', sequence: 3, turn: 0, name: 'level', json: '0.5' },
  ]);
  expect(out.record(kept)).toBe(kept.body.length);
  const [after] = framesOf(out);
  expect(after?.items).toEqual([kept]);
  expect(codecs.Chunk.decode(kept.body).text).toBe('kept');
  expect(kept).toMatchObject({ sequence: 1, turn: 2, field: 4, flags: 1, point: 5 });
});

test('a record of any kind that no message can hold is refused', () => {
  const out = new StepWriter();
  out.beginRecord(1, 0, { field: 10, flags: 0, point: 0, chain: 0 });
  expect(() => out.bytes(new Uint8Array(33 * 1024 * 1024))).toThrow(/a record has at most/);
  out.dropChunk();
  expect(out.empty).toBe(true);
});
