import { FrameReader, encodeFrameInPieces } from '@cabstand/engine';
import type { ToEngine } from '@cabstand/engine';
import { tensorOf } from '@cabstand/tensor';
import { Outbox } from './outbox';

const FRAME_BYTES = 500;
const LARGE = 300_000;
const PREFIX = 5;

function setUp(maxBytes = 100, maxFrameBytes = FRAME_BYTES) {
  /** What each tick wrote. */
  const writes: ToEngine[][] = [];
  let current: ToEngine[] = [];
  /** By the number that an encoded frame begins with. */
  const encoded: { readonly frame: ToEngine; readonly bytes: Uint8Array }[] = [];
  const deferred: (() => void)[] = [];
  /** Called when the socket holds what was written no more. */
  const written: (() => void)[] = [];
  const socket = {
    writableLength: 0,
    cork: () => undefined,
    uncork: () => undefined,
    write: (bytes: Uint8Array, done?: () => void) => {
      if (done !== undefined) written.push(done);
      const whole = encoded.find((one) => one.bytes.buffer === bytes.buffer);
      if (whole !== undefined) current.push(whole.frame);
      // Of a fragment the pieces are views of its frame, but for the prefix.
      else if (bytes.byteLength !== PREFIX) current.push(...framesIn(bytes));
      return true;
    },
  };
  const framesIn = (bytes: Uint8Array): ToEngine[] => {
    const frames: ToEngine[] = [];
    for (let at = 0; at < bytes.byteLength;) {
      const one = encoded[Buffer.from(bytes).readUInt32LE(at)];
      if (one === undefined) throw new Error(`no frame begins at byte ${at}`);
      frames.push(one.frame);
      at += one.bytes.byteLength;
    }
    return frames;
  };
  const outbox = new Outbox(socket, {
    maxBytes,
    maxFrameBytes,
    encode: (frame) => {
      const bytes = Buffer.alloc(frame.type === 'TURN' ? frame.prompt.length : 8);
      if (bytes.length >= 4) bytes.writeUInt32LE(encoded.length);
      encoded.push({ frame: structuredClone(frame), bytes: new Uint8Array(bytes) });
      return [encoded.at(-1)?.bytes ?? bytes];
    },
    defer: (callback) => void deferred.push(callback),
  });
  const tick = (): void => {
    deferred.splice(0).forEach((call) => call());
    if (current.length > 0) writes.push(current);
    current = [];
  };
  return {
    outbox,
    socket,
    writes,
    tick,
    written: () => written.splice(0).forEach((call) => call()),
  };
}

const turn = (bytes: number): ToEngine => ({
  type: 'TURN',
  sequence: 1,
  turn: 0,
  prompt: 'x'.repeat(bytes),
  parameters: {},
  inputs: [],
  live: false,
});

test('what is sent in one tick leaves in one write, its credits summed in one frame at the end', () => {
  const { outbox, writes, tick } = setUp();
  outbox.credit(1, 4, 100);
  outbox.send({ type: 'OPEN', sequence: 2, priority: 0 });
  outbox.credit(2, 1, 10);
  outbox.credit(1, 1, 50);
  outbox.send({ type: 'CANCEL', sequence: 1, turn: 3 });
  expect(writes).toEqual([]);
  tick();
  expect(writes).toEqual([
    [
      { type: 'OPEN', sequence: 2, priority: 0 },
      { type: 'CANCEL', sequence: 1, turn: 3 },
      {
        type: 'CREDITS',
        credits: [
          { sequence: 1, records: 5, bytes: 150 },
          { sequence: 2, records: 1, bytes: 10 },
        ],
      },
    ],
  ]);
  tick();
  expect(writes).toHaveLength(1);
});

test('the credits of a sequence that closes are dropped', () => {
  const { outbox, writes, tick } = setUp();
  outbox.credit(1, 4, 100);
  outbox.forget(1);
  tick();
  expect(writes).toEqual([]);
});

test('input beyond the limit is refused and leaves nothing behind; control frames always pass', () => {
  const { outbox, socket, writes, tick } = setUp(100);
  outbox.sendInput(turn(60));
  expect(() => outbox.sendInput(turn(41))).toThrow(
    expect.objectContaining({ reason: 'HOSTER_FULL', retryAfterMs: 100 }) as Error,
  );
  outbox.send({ type: 'CLOSE', sequence: 9 });
  expect(outbox.pendingBytes).toBe(68);
  tick();
  expect(writes[0]).toHaveLength(2);
  // Handed to the socket, but not read by the engine yet.
  socket.writableLength = 68;
  expect(() => outbox.sendInput(turn(60))).toThrow('at most 100');
  socket.writableLength = 0;
  outbox.sendInput(turn(60));
});

test('an input larger than the limit goes when nothing else waits', () => {
  const { outbox } = setUp(100);
  outbox.sendInput(turn(500));
  expect(() => outbox.sendInput(turn(1))).toThrow(
    expect.objectContaining({ reason: 'HOSTER_FULL' }) as Error,
  );
});

test('a closed outbox takes nothing and forgets what it has', () => {
  const { outbox, writes, tick } = setUp();
  outbox.send({ type: 'CLOSE', sequence: 9 });
  outbox.credit(1, 1, 1);
  outbox.close();
  outbox.send({ type: 'CLOSE', sequence: 9 });
  tick();
  expect(writes).toEqual([]);
  expect(outbox.pendingBytes).toBe(0);
});

test('input that the engine would take for garbage is refused, whatever waits', () => {
  const { outbox, writes, tick } = setUp();
  outbox.sendInput(turn(FRAME_BYTES));
  expect(() => outbox.sendInput(turn(FRAME_BYTES + 1))).toThrow(
    `got ${FRAME_BYTES + 1}, expected at most ${FRAME_BYTES} bytes on its way to the engine`,
  );
  tick();
  expect(writes).toEqual([[turn(FRAME_BYTES)]]);
});

describe('large frames', () => {
  const of = (sequence: number, number: number, bytes = LARGE): ToEngine =>
    ({ ...turn(bytes), sequence, turn: number }) as ToEngine;
  const sent = (writes: readonly (readonly ToEngine[])[]): string[] =>
    writes
      .flat()
      .map((frame) =>
        'sequence' in frame ? `${frame.type} ${String(frame.sequence)}` : frame.type,
      );

  test('go one at a time, in fragments: what is small and of other sequences goes in between', () => {
    const { outbox, writes, tick, written } = setUp(10 * LARGE, LARGE);
    outbox.sendInput(of(1, 0));
    outbox.sendInput(of(2, 0));
    outbox.sendInput(of(3, 0));
    outbox.send({ type: 'CANCEL', sequence: 1, turn: 0 });
    outbox.send({ type: 'CANCEL', sequence: 2, turn: 0 });
    outbox.sendInput(of(4, 0, 100));
    outbox.credit(2, 1, 1);
    tick();
    expect(sent(writes)).toEqual(['TURN 4', 'TURN 1']);
    outbox.sendInput(of(4, 1, 100));
    tick();
    // Not before the socket is rid of the fragment.
    expect(sent(writes).slice(2)).toEqual(['TURN 4']);
    written();
    tick();
    written();
    outbox.sendInput(of(4, 2, 100));
    outbox.credit(1, 1, 1);
    outbox.credit(4, 1, 1);
    tick();
    expect(sent(writes).slice(3)).toEqual(['TURN 1', 'TURN 4', 'CREDITS', 'TURN 1']);
    expect(outbox.pendingBytes).toBe(2 * LARGE + 2 * 8);
    outbox.send({ type: 'CLOSE', sequence: 1 });
    written();
    tick();
    // Those of the sequence whose large frame is through, and of no other.
    expect(writes.flat()).toContainEqual({
      type: 'CREDITS',
      credits: [{ sequence: 1, records: 1, bytes: 1 }],
    });
    expect(sent(writes).slice(7)).toEqual(['CREDITS', 'CANCEL 1', 'CLOSE 1', 'TURN 2']);
    for (let i = 0; i < 3; i++) {
      written();
      tick();
    }
    expect(sent(writes).slice(11)).toEqual(['TURN 2', 'TURN 2', 'CREDITS', 'CANCEL 2', 'TURN 3']);
    for (let i = 0; i < 3; i++) {
      written();
      tick();
    }
    expect(sent(writes).slice(16)).toEqual(['TURN 3', 'TURN 3']);
    expect(outbox.pendingBytes).toBe(0);
    outbox.sendInput(of(5, 0));
    tick();
    expect(sent(writes).slice(18)).toEqual(['TURN 5']);
  });

  test('of a sequence that is closed meanwhile are never sent', () => {
    const { outbox, writes, tick, written } = setUp(10 * LARGE, LARGE);
    outbox.sendInput(of(1, 0));
    outbox.sendInput(of(2, 0));
    outbox.forget(2);
    outbox.send({ type: 'CLOSE', sequence: 2 });
    for (let i = 0; i < 4; i++) {
      tick();
      written();
    }
    expect(sent(writes)).toEqual(['CLOSE 2', 'TURN 1', 'TURN 1', 'TURN 1']);
    expect(outbox.pendingBytes).toBe(0);
  });

  test('an engine reads what was written as it was queued', () => {
    const bytes: Uint8Array[] = [];
    const waiting: (() => void)[] = [];
    const outbox = new Outbox(
      {
        writableLength: 0,
        cork: () => undefined,
        uncork: () => undefined,
        write: (piece, done) => {
          bytes.push(Buffer.from(piece));
          if (done !== undefined) waiting.push(done);
          return true;
        },
      },
      {
        maxBytes: 1e8,
        maxFrameBytes: 1e8,
        encode: encodeFrameInPieces,
        defer: (callback) => void waiting.push(callback),
      },
    );
    const inputs = [
      tensorOf(
        'x',
        Float32Array.from({ length: 70_000 }, (_, i) => i),
      ),
      tensorOf('s', new Int16Array([1, 2, 3])),
    ];
    const of = (sequence: number): ToEngine => ({ ...turn(3), sequence, inputs }) as ToEngine;
    for (const sequence of [1, 2]) {
      outbox.sendInput(of(sequence));
      outbox.send({ type: 'CANCEL', sequence, turn: 0 });
    }
    outbox.send({ type: 'CANCEL', sequence: 3, turn: 0 });
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next();
    const reader = new FrameReader();
    const all = Buffer.concat(bytes);
    const frames: unknown[] = [];
    for (let at = 0; at < all.length; at += 65_536)
      frames.push(...reader.push(all.subarray(at, at + 65_536)));
    const cancel = (sequence: number) => ({ type: 'CANCEL', sequence, turn: 0 });
    expect(frames).toEqual([cancel(3), of(1), cancel(1), of(2), cancel(2)]);
    expect(reader.pending).toBe(0);
  });

  test('that wait count as waiting', () => {
    const { outbox } = setUp(2 * LARGE, LARGE);
    outbox.sendInput(of(1, 0));
    outbox.sendInput(of(2, 0));
    expect(() => outbox.sendInput(of(3, 0, 100))).toThrow('at most');
  });
});
