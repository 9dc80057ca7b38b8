import fc from 'fast-check';
import { HosterService } from '../methods';
import { readLivePart } from './live-part';

const { encode, decode } = HosterService.rpc_session_stream.request;

const DTYPES = [
  'DATA_TYPE_FLOAT32',
  'DATA_TYPE_INT64',
  'DATA_TYPE_BOOL',
  'DATA_TYPE_STRING',
] as const;
const tensor = fc.record({
  name: fc.oneof(fc.constantFrom('audio', 'x', ''), fc.string({ maxLength: 80, unit: 'grapheme' })),
  dtype: fc.constantFrom(...DTYPES),
  shape: fc.array(fc.oneof(fc.nat(5000), fc.integer({ min: -3, max: 2 ** 40 })), { maxLength: 9 }),
  data: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  strings: fc.oneof(
    { weight: 5, arbitrary: fc.constant<string[]>([]) },
    fc.array(fc.string(), { maxLength: 2 }),
  ),
});
const number = fc.oneof(fc.nat(300), fc.integer({ min: -1, max: 2 ** 45 }));
const part = fc.record({
  turn: number,
  part: number,
  inputs: fc.array(tensor, { maxLength: 4 }),
  last: fc.boolean(),
});

test('an ordinary part is read here, as the loader reads it', () => {
  const bytes = encode({
    input: {
      turn: 3,
      part: 70_000,
      inputs: [
        { name: 'audio', dtype: 'DATA_TYPE_FLOAT32', shape: [1, 512], data: Buffer.alloc(2048, 7) },
        { name: 'pointer', dtype: 'DATA_TYPE_INT16', shape: [], data: Buffer.alloc(2) },
      ],
      last: true,
    },
  });
  expect(readLivePart(bytes)).toStrictEqual(decode(bytes));
  const empty = encode({ input: {} });
  expect(readLivePart(empty)).toStrictEqual(decode(empty));
});

test.each([
  ['another message', encode({ ack: { position: 3 } })],
  [
    'a field that nobody knows',
    Buffer.concat([encode({ input: { turn: 1 } }), Buffer.of(0x78, 1)]),
  ],
  [
    'two parts, which would have to be merged',
    Buffer.concat([encode({ input: {} }), encode({ input: {} })]),
  ],
  ['a number beyond what is exact', encode({ input: { turn: 2 ** 60 } })],
  ['strings', encode({ input: { inputs: [{ name: 's', strings: ['a'] }] } })],
  ['a field that comes twice', Buffer.of(0x22, 4, 0x08, 1, 0x08, 2)],
  ['nothing', Buffer.alloc(0)],
])('%s is left to the loader', (_, bytes) => {
  expect(readLivePart(bytes)).toBeUndefined();
});

test('whatever part comes, it is read as the loader reads it, or left to the loader', () => {
  let read = 0;
  fc.assert(
    fc.property(part, (input) => {
      const bytes = encode({ input });
      const found = readLivePart(bytes);
      if (found === undefined) return;
      read++;
      expect(found).toStrictEqual(decode(bytes));
    }),
    { numRuns: 2000 },
  );
  expect(read).toBeGreaterThan(100);
});

test('whatever bytes come, damaged or not, they are read as the loader reads them, or left to it', () => {
  const ordinary = fc.record({
    turn: fc.nat(300),
    part: fc.nat(300),
    inputs: fc.array(
      fc.record({
        name: fc.constantFrom('audio', 'x', ''),
        dtype: fc.constantFrom(...DTYPES),
        shape: fc.array(fc.nat(300), { maxLength: 3 }),
        data: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      }),
      { maxLength: 3 },
    ),
    last: fc.boolean(),
  });
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });
  const cut = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(20));
  let read = 0;
  fc.assert(
    fc.property(ordinary, damage, cut, (input, changes, missing) => {
      const bytes = Buffer.from(encode({ input }));
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      const damaged = bytes.subarray(0, Math.max(0, bytes.length - missing));
      const found = readLivePart(damaged);
      if (found === undefined) return;
      read++;
      expect(found).toStrictEqual(decode(damaged));
    }),
    { numRuns: 10_000 },
  );
  expect(read).toBeGreaterThan(1000);
});
