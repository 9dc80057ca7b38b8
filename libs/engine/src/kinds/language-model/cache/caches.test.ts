import fc from 'fast-check';
import type { CacheLayout } from '@cabstand/model';
import type { BlockMemory } from '../../../graphs/state-memory';
import { IDENTITY } from '../../../graphs/identity';
import { deviceRuntime } from '../../../native/device-runtime';
import { DeviceSession } from '../../../native/device-session';
import { TEST_DEVICE } from '../../../native/test-device.fixture';
import { HOST_BLOCKS } from '../../../state/host-blocks';
import { Caches } from './caches';
import type { Occupant } from './cohort';
import { bytesPerToken } from './columns';
import { BLOCK } from './prefix-store';

const layout: CacheLayout = {
  dtype: 'float32',
  tensors: [
    { past: 'a', present: 'b', heads: 2, size: 3 },
    { past: 'c', present: 'd', heads: 1, size: 2 },
  ],
};

let memory: BlockMemory = HOST_BLOCKS;

interface Sequence extends Occupant {
  readonly id: number;
  /** What each of its columns holds. */
  readonly expected: number[];
}

/** Writes columns behind those in use, as a run does. */
function compute(sequence: Sequence, count: number): void {
  const { slot } = sequence;
  if (slot === undefined) throw new Error('no row');
  const { buffer } = slot.cohort;
  const values = Array.from({ length: count }, (_, at) => sequence.id * 1000 + slot.length + at);
  layout.tensors.forEach(({ heads, size }, tensor) => {
    const array = new Float32Array(heads * count * size);
    for (let at = 0; at < array.length; at += 1)
      array[at] = values[Math.floor(at / size) % count] ?? 0;
    const place = { block: array, offset: 0, capacity: count, column: 0 };
    buffer.write(tensor, slot.row, slot.length, place, count);
  });
  slot.length += count;
  sequence.expected.push(...values);
}

function check({ slot, expected }: Sequence): void {
  if (slot === undefined) throw new Error('no row');
  const { cohort, row, length } = slot;
  expect(length).toBe(expected.length);
  const columns = cohort.buffer.read(row, 0, length);
  layout.tensors.forEach(({ heads, size }, tensor) => {
    const wanted = Array.from(
      { length: heads * length * size },
      (_, at) => expected[Math.floor(at / size) % length],
    );
    const got = new Float32Array(wanted.length);
    const whole = { offset: 0, pitch: got.length };
    const block = columns.blocks[tensor] ?? got;
    memory.copy({ block: got, ...whole }, { block, ...whole }, got.length, 1);
    expect([...got]).toEqual(wanted);
  });
  cohort.buffer.forget(columns);
}

const operation = fc.oneof(
  fc.record({ type: fc.constant('begin' as const), tokens: fc.integer({ min: 1, max: 400 }) }),
  fc.record({ type: fc.constant('leave' as const), which: fc.nat() }),
  fc.record({ type: fc.constant('step' as const), which: fc.nat(), mask: fc.nat() }),
);

describe.each(['arrays', 'the memory of a device'] as const)('in %s', (where) => {
  let session: DeviceSession | undefined;
  beforeAll(async () => {
    memory = HOST_BLOCKS;
    if (where === 'arrays') return;
    const found = await deviceRuntime(TEST_DEVICE);
    if (!found.works) throw new Error(found.why);
    const { runtime, device } = found.on;
    session = await DeviceSession.open(runtime, device, '', { threads: 1 }, IDENTITY);
    memory = session.memory.blocks;
  });
  afterAll(() => session?.release());

  test('columns follow their sequences through joins, leaves, growth, and steps of some of them', () => {
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 60 }),
        fc.integer({ min: 1, max: 6 }),
        fc.constantFrom(Infinity, 6000 * bytesPerToken(layout)),
        (operations, maxRows, maxBytes) => {
          const caches = new Caches(layout, { maxRows, maxBytes }, memory);
          const all: Sequence[] = [];
          let next = 0;
          for (const op of operations) {
            caches.tidy();
            if (op.type === 'begin') {
              const sequence: Sequence = { id: next++, slot: undefined, expected: [] };
              if (!caches.begin(sequence, op.tokens)) continue;
              compute(sequence, op.tokens);
              caches.share(sequence);
              all.push(sequence);
            } else if (all.length === 0) continue;
            else if (op.type === 'leave') {
              const [sequence] = all.splice(op.which % all.length, 1);
              if (sequence !== undefined) caches.drop(sequence);
            } else {
              const cohort = all[op.which % all.length]?.slot?.cohort;
              if (cohort === undefined) throw new Error('no row');
              if (!caches.fit(cohort, 1)) continue;
              const members = all.filter(({ slot }) => slot?.cohort === cohort);
              const some = members.filter((_, at) => ((op.mask >> at) & 1) === 1);
              cohort.arrange(some);
              expect(new Set(cohort.members.slice(0, some.length))).toEqual(new Set(some));
              for (const sequence of some) compute(sequence, 1);
            }
            all.forEach(check);
            expect(caches.bytes).toBeLessThanOrEqual(maxBytes);
            for (const { slot } of all) {
              expect(slot?.cohort.size).toBeLessThanOrEqual(maxRows);
              expect(slot?.cohort.members[slot.row]?.slot).toBe(slot);
            }
          }
          all.forEach((sequence) => caches.drop(sequence));
          caches.tidy();
          expect(caches.bytes).toBe(0);
          expect(session?.heap.live ?? 0).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('rows of much the same length share a buffer, and one that is far longer has its own', () => {
    const caches = new Caches(layout, { maxRows: 16, maxBytes: Infinity }, memory);
    const begin = (tokens: number): Sequence => {
      const sequence: Sequence = { id: tokens, slot: undefined, expected: [] };
      caches.begin(sequence, tokens);
      compute(sequence, tokens);
      caches.share(sequence);
      return sequence;
    };
    const short = Array.from({ length: 7 }, (_, at) => begin(20 + at));
    const long = begin(900);
    expect(new Set(short.map(({ slot }) => slot?.cohort)).size).toBe(1);
    expect(long.slot?.cohort).not.toBe(short[0]?.slot?.cohort);
    // One of the short ones becomes long: it goes to where the other is.
    const [grown] = short;
    for (let at = 0; at < 800; at += 1) {
      const cohort = grown?.slot?.cohort;
      if (grown === undefined || cohort === undefined) throw new Error('no row');
      caches.fit(cohort, 1);
      compute(grown, 1);
      caches.tidy();
    }
    expect(grown?.slot?.cohort).toBe(long.slot?.cohort);
    [...short, long].forEach(check);
    // Nobody pays for who has left.
    caches.drop(long);
    if (grown !== undefined) caches.drop(grown);
    caches.tidy();
    expect(caches.bytes).toBe(short.length === 7 ? 8 * 64 * bytesPerToken(layout) : 0);
  });

  test('bytes that are told are those that the process holds', () => {
    const wide: CacheLayout = {
      dtype: 'float32',
      tensors: Array.from({ length: 8 }, () => ({ past: 'a', present: 'b', heads: 8, size: 64 })),
    };
    const caches = new Caches(wide, { maxRows: 16, maxBytes: Infinity }, memory);
    global.gc?.();
    const held = (): number => session?.heap.bytes ?? process.memoryUsage().arrayBuffers;
    const before = held();
    const all = Array.from({ length: 8 }, (): Occupant => ({ slot: undefined }));
    for (const occupant of all) {
      caches.begin(occupant, 300);
      if (occupant.slot !== undefined) occupant.slot.length = 300;
    }
    const more = held() - before;
    expect(more / caches.bytes).toBeGreaterThan(0.9);
    expect(more / caches.bytes).toBeLessThan(1.1);
    for (const occupant of all) caches.drop(occupant);
  });

  test('what an owner has computed is begun with again, and nothing of another owner', () => {
    const caches = new Caches(layout, { maxRows: 4, maxBytes: Infinity }, memory);
    const tokens = Array.from({ length: 200 }, (_, at) => at);
    const first: Sequence = { id: 1, slot: undefined, expected: [] };
    caches.begin(first, 200);
    compute(first, 200);
    const rowOf = ({ slot }: Sequence) => {
      if (slot === undefined) throw new Error('no row');
      return { buffer: slot.cohort.buffer, row: slot.row };
    };
    caches.store.share('alice', tokens, 200, rowOf(first));
    const left = { from: 192, tokens, prefilled: 200 };
    caches.store.leave(first, left, rowOf(first));
    expect(caches.store.bytes).toBe(200 * bytesPerToken(layout));
    const again = (owner: string, ids: readonly number[], from: Sequence | undefined) => {
      const sequence: Sequence = { id: 2, slot: undefined, expected: [] };
      caches.begin(sequence, 200);
      const own = { sequence: from ?? sequence, left: from && left };
      const { length } = caches.store.reuse(owner, ids, ids.length - 2, own, rowOf(sequence));
      if (sequence.slot !== undefined) sequence.slot.length = length;
      sequence.expected.push(...first.expected.slice(0, length));
      check(sequence);
      caches.drop(sequence);
      return length;
    };
    expect(again('alice', tokens, undefined)).toBe(3 * BLOCK);
    expect(again('alice', tokens, first)).toBe(198);
    expect(again('alice', [...tokens, 5, 6, 7], first)).toBe(200);
    expect(again('alice', tokens.with(100, 7), first)).toBe(BLOCK);
    expect(again('alice', tokens.with(0, 7), first)).toBe(0);
    expect(again('bob', tokens, undefined)).toBe(0);
    expect(again('', tokens, undefined)).toBe(0);
    while (caches.store.evict());
    expect(caches.store.bytes).toBe(0);
    expect(again('alice', tokens, first)).toBe(0);
  });
});
