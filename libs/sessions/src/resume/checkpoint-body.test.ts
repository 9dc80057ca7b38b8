import { FRESH, decodeState, encodeState, inOwnMemory } from './checkpoint-body';
import { Rebuild } from './rebuild';

const filled = (bytes: number): Buffer => Buffer.alloc(bytes, 7);

/** A piece of the memory that Node's small Buffers share. */
function fromPool(bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes).fill(7);
  expect(buffer.buffer.byteLength).toBe(Buffer.poolSize);
  return buffer;
}

test('bytes that are kept do not keep the pool, nor the frame that brought them', () => {
  for (const bytes of [fromPool(1_400), filled(100_000).subarray(5_000, 6_400)]) {
    const kept = inOwnMemory(bytes);
    expect(kept).toEqual(filled(1_400));
    expect(kept.buffer.byteLength).toBe(1_400);
  }
});

test('what nearly fills its memory is not copied', () => {
  const bytes = filled(100_000).subarray(30_000);
  expect(inOwnMemory(bytes)).toBe(bytes);
});

test('the state of a checkpoint and that of an engine’s snapshot are kept so', () => {
  const sealed = Buffer.concat(encodeState({ ...FRESH, turn: 3, data: fromPool(1_400) }));
  const state = decodeState(sealed, 12);
  expect(state).toEqual({ ...FRESH, position: 12, turn: 3, data: filled(1_400) });
  expect(state.data.buffer.byteLength).toBe(1_400);

  const rebuild = new Rebuild(true);
  const data = fromPool(1_400);
  rebuild.ending({ data, records: 1, steps: 1, partsTaken: 0, ended: true });
  const turn = {
    kind: 'running',
    turn: 0,
    digest: undefined,
    firstPosition: 0,
    live: undefined,
  } as const;
  expect(rebuild.turnEnded(turn, 1)?.data.buffer.byteLength).toBe(1_400);
});
