/** What an engine reads where the outbox writes into memory that it uses again. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import fc from 'fast-check';
import { FrameReader, encodeFrameInPieces, packerFor } from '@cabstand/engine';
import type { Frame, InputFrame, ToEngine } from '@cabstand/engine';
import { Outbox } from './outbox';
import type { OutboxSocket } from './outbox';
import { SlowSocket } from './slow-socket.fixture';

const KIB = 1024;

function setUp(socket: OutboxSocket) {
  const deferred: (() => void)[] = [];
  const outbox = new Outbox(socket, {
    maxBytes: 1e9,
    maxFrameBytes: 1e8,
    encode: encodeFrameInPieces,
    pack: packerFor(4),
    defer: (callback) => void deferred.push(callback),
  });
  return { outbox, tick: (): void => deferred.splice(0).forEach((call) => call()) };
}

/** A part whose bytes all tell its number. */
function part(sequence: number, number: number, bytes: number): InputFrame {
  const data = new Uint8Array(bytes).fill(number % 251);
  const inputs = [{ name: 'x', dtype: 'uint8' as const, shape: [bytes], data }];
  return { type: 'INPUT', sequence, turn: 0, part: number, inputs, last: false };
}

/** Frames as texts: an input with the number that its bytes tell. */
function told(frames: readonly (Frame | ToEngine)[]): string[] {
  return frames.map((frame) => {
    if (frame.type !== 'INPUT')
      return 'sequence' in frame ? `${frame.type} ${frame.sequence}` : frame.type;
    const { data = new Uint8Array(), strings } = frame.inputs[0] ?? {};
    // Not one by one: there are megabytes of them.
    const whole = Buffer.alloc(data.byteLength, data[0] ?? 0).equals(data);
    const content = strings?.join() ?? (whole ? (data[0] ?? 'nothing') : 'a mixture');
    return `INPUT ${frame.sequence}: ${frame.part} of ${data.byteLength}: ${content}`;
  });
}

const textOf = (sequence: number, number: number): InputFrame => ({
  ...part(sequence, number, 0),
  inputs: [
    {
      name: 'text',
      dtype: 'string',
      shape: [2],
      data: new Uint8Array(),
      strings: [String(number), 'ü'],
    },
  ],
});

type Step =
  | { readonly do: 'part' | 'text' | 'large' | 'cancel' | 'credit' | 'snapshot'; of: number }
  | { readonly do: 'tick' }
  | { readonly do: 'read'; count: number };

const of = fc.integer({ min: 1, max: 4 });
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('part' as const), of }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('text', 'cancel', 'credit'), of }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('large', 'snapshot'), of }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('tick' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
) as fc.Arbitrary<Step>;

/** Small ones that are packed in place, those that nearly fill memory, and those that go in pieces. */
const SIZES = [0, 1, 2_048, 2_049, 7_001, 8_000, 30 * KIB, 40 * KIB];

test('an engine reads each sequence’s frames in order and whole, however late the socket is', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), fc.nat(), (steps, salt) => {
      const socket = new SlowSocket();
      const { outbox, tick } = setUp(socket);
      const sent: ToEngine[] = [];
      const credits = new Map<number, number>();
      const put = (frame: ToEngine): void => {
        sent.push(frame);
        if (frame.type === 'INPUT') outbox.sendInput(frame);
        else if (frame.type === 'SNAPSHOT') outbox.sendAfterCredits(frame);
        else outbox.send(frame);
      };
      steps.forEach((one, number) => {
        if (one.do === 'tick') tick();
        else if (one.do === 'read') socket.read(one.count);
        else if (one.do === 'credit') {
          outbox.credit(one.of, 1, 100);
          credits.set(one.of, (credits.get(one.of) ?? 0) + 1);
        } else if (one.do === 'cancel') put({ type: 'CANCEL', sequence: one.of, turn: number });
        else if (one.do === 'snapshot') put({ type: 'SNAPSHOT', sequence: one.of });
        else if (one.do === 'text') put(textOf(one.of, number));
        else {
          const size = SIZES[(salt + number * 7) % SIZES.length] ?? 0;
          put(part(one.of, number, one.do === 'large' ? 300 * KIB : size));
        }
      });
      for (let left = 0; left < 200; left += 1) {
        tick();
        socket.read();
      }
      expect(socket.pending).toBe(0);
      expect(outbox.pendingBytes).toBe(0);
      const read = new Map<number, number>();
      for (const frame of socket.frames)
        if (frame.type === 'CREDITS')
          for (const { sequence, records } of frame.credits)
            read.set(sequence, (read.get(sequence) ?? 0) + records);
      for (const sequence of [1, 2, 3, 4]) {
        expect(read.get(sequence)).toBe(credits.get(sequence));
        const ofIt = (frame: Frame | ToEngine): boolean =>
          'sequence' in frame && frame.sequence === sequence;
        expect(told(socket.frames.filter(ofIt))).toEqual(told(sent.filter(ofIt)));
      }
    }),
  );
});

test('what is sent between two parts of a tick comes between them, and memory of neither is used too soon', () => {
  const socket = new SlowSocket();
  const { outbox, tick } = setUp(socket);
  const sent: ToEngine[] = [];
  const put = (frame: ToEngine): void => {
    sent.push(frame);
    if (frame.type === 'INPUT') outbox.sendInput(frame);
    else outbox.send(frame);
  };
  put(part(1, 0, 2_048));
  tick();
  put(part(1, 1, 2_048));
  // Goes in pieces: what lies in the block before it is cut off there, and waits for the end of the tick.
  put(part(2, 2, 100 * KIB));
  // The block holds nothing that is not cut off, and yet it is not free.
  socket.read();
  put(part(1, 3, 2_048));
  put({ type: 'CANCEL', sequence: 2, turn: 0 });
  put(part(3, 4, 2_048));
  tick();
  socket.read();
  expect(told(socket.frames)).toEqual(told(sent));
});

test('a tick’s parts, credits and control frames leave in one write, and memory is used again', () => {
  const socket = new SlowSocket();
  const { outbox, tick } = setUp(socket);
  for (let round = 0; round < 500; round += 1) {
    for (let sequence = 1; sequence <= 16; sequence += 1) {
      outbox.sendInput(part(sequence, round, 2_048));
      outbox.credit(sequence, 1, 100);
    }
    outbox.send({ type: 'SNAPSHOT', sequence: 1 });
    tick();
    // Two writes behind all the time.
    socket.read(socket.waiting.length - 2);
  }
  expect(socket.writes).toBeLessThan(500 * 1.3);
  expect(socket.memory.size).toBeLessThan(5);
  socket.read();
  expect(socket.frames).toHaveLength(500 * 18);
});

test('a socket that reads nothing holds little more than what was sent', () => {
  const socket = new SlowSocket();
  const { outbox, tick } = setUp(socket);
  for (let round = 0; round < 5_000; round += 1) {
    outbox.sendInput(part(1, round, 100));
    tick();
  }
  const held = [...socket.memory].reduce((sum, { byteLength }) => sum + byteLength, 0);
  expect(held).toBeLessThan(1.1 * socket.writableLength + 256 * KIB);
});

test('an input that is refused leaves nothing behind in memory', () => {
  const socket = new SlowSocket();
  const deferred: (() => void)[] = [];
  const outbox = new Outbox(socket, {
    maxBytes: 3_000,
    maxFrameBytes: 2_500,
    encode: encodeFrameInPieces,
    pack: packerFor(4),
    defer: (callback) => void deferred.push(callback),
  });
  outbox.sendInput(part(1, 0, 2_048));
  expect(() => outbox.sendInput(part(1, 1, 2_048))).toThrow('takes at most 3000');
  expect(() => outbox.sendInput(part(1, 1, 2_500))).toThrow('at most 2500 bytes on its way');
  outbox.send({ type: 'CANCEL', sequence: 1, turn: 0 });
  deferred.splice(0).forEach((call) => call());
  socket.read();
  expect(told(socket.frames)).toEqual(['INPUT 1: 0 of 2048: 0', 'CANCEL 1']);
});

test('over a real socket whose reader sleeps, parts come as they were sent', async () => {
  const COUNT = 600;
  const folder = mkdtempSync(join(tmpdir(), 'cabstand-outbox-'));
  const server = createServer();
  try {
    server.listen(join(folder, 's'));
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const writer = connect(join(folder, 's'));
    const [reader] = await accepted;
    const frames: Frame[] = [];
    const frameReader = new FrameReader();
    reader.on('data', (bytes: Buffer) => {
      frames.push(...frameReader.push(bytes).filter(({ type }) => type === 'INPUT'));
      if (frames.length === COUNT) reader.emit('all');
    });
    reader.pause();
    const all = once(reader, 'all');
    const outbox = new Outbox(writer, {
      maxBytes: 1e9,
      maxFrameBytes: 1e8,
      encode: encodeFrameInPieces,
      pack: packerFor(4),
    });
    const sent: ToEngine[] = [];
    for (let number = 0; number < COUNT; number += 1) {
      const frame = part(1 + (number % 3), number, SIZES[number % 7] ?? 0);
      sent.push(frame);
      outbox.sendInput(frame);
      outbox.credit(1, 1, 1);
      if (number % 5 === 0) await turnOfLoop();
      if (number % 150 === 149) reader.resume();
      if (number % 150 === 50) reader.pause();
    }
    reader.resume();
    await all;
    expect(told(frames)).toEqual(told(sent));
    writer.destroy();
    reader.destroy();
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
});
