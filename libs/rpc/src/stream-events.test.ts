import fc from 'fast-check';
import { codecs } from './proto';
import { readEvents } from './stream-events';
import type { StreamEvent } from './stream-events';
import type { SessionStreamResponse } from './v1';

const { encode, decode } = codecs.SessionStreamResponse;

const tensor = fc.record({
  name: fc.oneof(fc.constantFrom('x', ''), fc.string({ maxLength: 80, unit: 'grapheme' })),
  dtype: fc.constantFrom('DATA_TYPE_FLOAT32' as const, 'DATA_TYPE_STRING' as const),
  shape: fc.array(fc.oneof(fc.nat(5000), fc.integer({ min: -3, max: 2 ** 40 })), { maxLength: 9 }),
  data: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  strings: fc.oneof(
    { weight: 5, arbitrary: fc.constant<string[]>([]) },
    fc.array(fc.string(), { maxLength: 2 }),
  ),
});
const number = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 45 }));
const chunk = fc.record({ outputs: fc.array(tensor, { maxLength: 3 }), text: fc.string() });
const body = fc.oneof(
  { weight: 6, arbitrary: fc.record({ chunk }) },
  fc.record({ input: fc.record({ part: number }) }),
  fc.record({ chunk, checkpoint: fc.record({ position: number }) }),
  fc.constant({}),
);
const header = {
  ...{ position: number, turn: number, epoch: number, point: number },
  ...{ chain: fc.nat(2 ** 32 - 1), more: fc.boolean(), key: fc.boolean() },
};
const event = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.record(header), body).map((all) => ({ record: merged(all) })),
  },
  fc.record({ notice: fc.record({ queued: fc.record({ position: fc.nat(9) }) }) }),
  fc.constant({ closed: {} }),
);

function merged<A, B>([one, other]: readonly [A, B]): A & B {
  return { ...one, ...other };
}

/** As the loader gives it. */
function seen(read: StreamEvent): unknown {
  if (!('bytes' in read)) return { ...read, more: [] };
  const { outputs, text, bytes, ...fields } = read;
  expect(codecs.Chunk.decode(bytes)).toStrictEqual({ outputs, text });
  const record = { ...fields, checkpoint: null, chunk: { outputs, text }, body: 'chunk' };
  return { record, event: 'record', more: [] };
}

test('what comes is read as the loader reads it', () => {
  const response = fc.tuple(event, fc.array(event, { maxLength: 3 }));
  fc.assert(
    fc.property(response, ([first, more]) => {
      const bytes = encode({ ...first, more });
      const whole = decode(bytes);
      expect(readEvents(bytes).map(seen)).toStrictEqual([{ ...whole, more: [] }, ...whole.more]);
    }),
  );
});

const plain: SessionStreamResponse = {
  record: { position: 3, epoch: 1, chunk: { outputs: [{ name: 'x', shape: [2] }], text: 'ä' } },
};

test('a chunk comes with its bytes, alone and behind something else', () => {
  const more = [{ notice: { queued: { position: 1 } } }, plain];
  const events = readEvents(encode({ ...plain, more }));
  expect(events.map((one) => 'bytes' in one)).toEqual([true, false, true]);
});

test.each([
  ['a field that nobody knows', Buffer.of(0x0a, 5, 0x22, 0, 0x82, 1, 0)],
  ['two chunks, which would have to be merged', Buffer.of(0x0a, 4, 0x22, 0, 0x22, 0)],
  ['two records', Buffer.of(0x0a, 2, 0x22, 0, 0x0a, 2, 0x22, 0)],
  ['nothing', Buffer.alloc(0)],
])('%s is left to the loader', (_what, bytes) => {
  const whole = decode(bytes);
  expect(readEvents(bytes)).toStrictEqual([whole]);
});

test.each([
  ['a record that is longer than its message', Buffer.of(0x0a, 5, 0x22, 0)],
  ['a chunk that is longer than its record', Buffer.of(0x0a, 2, 0x22, 3)],
  ['an event that is none, behind one that is', Buffer.of(0x0a, 2, 0x22, 0, 0x22, 2, 0x0a, 9)],
])('%s is refused', (_what, bytes) => {
  expect(() => readEvents(bytes)).toThrow();
});
