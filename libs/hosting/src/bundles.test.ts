import { HosterService } from '@cabstand/rpc';
import type { Encoded, StreamWriter, v1 } from '@cabstand/rpc';
import { Encoded as Serialized } from '@cabstand/rpc';
import fc from 'fast-check';
import { Bundles } from './bundles';

const { encode, decode } = HosterService.rpc_session_stream.response;

/** A caller that has room for so many messages at a time. */
class Caller implements StreamWriter<v1.SessionStreamResponse> {
  readonly messages: v1.SessionStreamResponse__Output[] = [];
  #unread = 0;
  #wake: (() => void)[] = [];

  constructor(readonly room = Infinity) {}

  push(message: v1.SessionStreamResponse | Encoded): boolean {
    if (!(message instanceof Serialized)) throw new Error('a bundle is serialized');
    this.messages.push(decode(message.bytes));
    return ++this.#unread < this.room;
  }

  write(): Promise<void> {
    throw new Error('not used');
  }

  drained(): Promise<void> {
    if (this.#unread < this.room) return Promise.resolve();
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  read(): void {
    this.#unread = 0;
    for (const wake of this.#wake.splice(0)) wake();
  }
}

const record = (position: number, text = ''): Encoded =>
  new Serialized(encode({ record: { position, chunk: { text } } }));
const positions = ({ messages }: Caller): (number | undefined)[][] =>
  messages.map((message) =>
    [message, ...message.more].map(({ record: one }) => one?.position ?? undefined),
  );
const tick = (): Promise<void> => new Promise(setImmediate);

test('what comes within a tick is one message, in order', async () => {
  const caller = new Caller();
  const out = new Bundles(caller);
  out.push(record(0));
  out.push(record(1));
  out.push({ notice: { accepted: { turn: 0, next_part: 7 } } });
  expect(caller.messages).toEqual([]);
  await tick();
  out.push(record(2));
  await tick();
  expect(positions(caller)).toEqual([[0, 1, undefined], [2]]);
  expect(caller.messages[0]?.more[1]?.notice?.accepted?.next_part).toBe(7);
});

test('a large event is a message of its own, behind those before it', () => {
  const caller = new Caller();
  const out = new Bundles(caller);
  out.push(record(0));
  out.push(record(1, 'x'.repeat(5000)));
  expect(positions(caller)).toEqual([[0], [1]]);
});

test('what is flushed is there at once, and only once', async () => {
  const caller = new Caller();
  const out = new Bundles(caller);
  out.push(record(0));
  out.flush();
  expect(positions(caller)).toEqual([[0]]);
  await tick();
  expect(positions(caller)).toEqual([[0]]);
});

test('a caller without room gets what waits when it has room again', async () => {
  const caller = new Caller(1);
  const out = new Bundles(caller);
  expect(out.push(record(0))).toBe(true);
  await tick();
  expect(out.push(record(1))).toBe(false);
  await tick();
  expect(positions(caller)).toEqual([[0]]);
  const drained = out.drained();
  caller.read();
  await drained;
  expect(positions(caller)).toEqual([[0], [1]]);
});

test('what comes while somebody waits for room is sent with it, and what comes then as ever', async () => {
  const caller = new Caller(1);
  const out = new Bundles(caller);
  out.push(record(0));
  await tick();
  const drained = out.drained();
  expect(out.push(record(1))).toBe(false);
  caller.read();
  await tick();
  // The caller has no room again, which is waited for, too.
  expect(positions(caller)).toEqual([[0], [1]]);
  caller.read();
  await drained;
  expect(out.push(record(2))).toBe(true);
  await tick();
  expect(positions(caller)).toEqual([[0], [1], [2]]);
});

test('whatever comes, and however it is read, arrives once and in order, in messages of bounded size', async () => {
  const deeds = fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fc.record({ bytes: fc.integer({ min: 0, max: 6000 }) }) },
      { weight: 2, arbitrary: fc.constant('tick' as const) },
      { weight: 1, arbitrary: fc.constant('read' as const) },
    ),
    { maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(deeds, fc.integer({ min: 1, max: 5 }), async (given, room) => {
      const caller = new Caller(room);
      const out = new Bundles(caller);
      let next = 0;
      // As whoever pushes does it: one wait at a time, and what may be lost comes in spite of it.
      let waits = false;
      for (const deed of given) {
        if (deed === 'tick') await tick();
        else if (deed === 'read') caller.read();
        else if (!out.push(record(next++, 'x'.repeat(deed.bytes))) && !waits) {
          waits = true;
          void out.drained().then(() => (waits = false));
        }
      }
      for (let i = 0; i < 100; i++) {
        caller.read();
        await tick();
      }
      expect(waits).toBe(false);
      expect(positions(caller).flat()).toEqual(Array.from({ length: next }, (_, i) => i));
      for (const message of caller.messages)
        expect(encode(message).length).toBeLessThanOrEqual(17_000);
    }),
    { numRuns: 200 },
  );
});
