import { LARGE_BYTES, SpareMemory } from './spare-memory';

const MIB = 1024 * 1024;

test('memory that was given back is taken again, once, by whoever asks for no more', () => {
  const spare = new SpareMemory();
  const memory = new ArrayBuffer(MIB);
  spare.give(memory);
  expect(spare.take(MIB + 1).buffer).not.toBe(memory);
  const taken = spare.take(MIB - 1);
  expect(taken.buffer).toBe(memory);
  expect(taken.length).toBe(MIB);
  expect(spare.take(MIB - 1).buffer).not.toBe(memory);
});

test('what is small is not worth it', () => {
  const spare = new SpareMemory();
  const memory = new ArrayBuffer(MIB);
  spare.give(memory);
  const small = spare.take(LARGE_BYTES - 1);
  expect(small.length).toBe(LARGE_BYTES - 1);
  expect(small.buffer).not.toBe(memory);
});

test('it keeps 16 MiB at most, and lets go of the smallest first', () => {
  const spare = new SpareMemory();
  const given = [2, 1, 6, 6, 3].map((size) => new ArrayBuffer(size * MIB));
  for (const memory of given) spare.give(memory);
  const taken = [6, 6, 2, 1].map((size) => spare.take(size * MIB).buffer);
  expect(taken.slice(0, 2)).toEqual([given[2], given[3]]);
  expect(taken.slice(0, 3).map((memory) => given.indexOf(memory))).toEqual([2, 3, 4]);
  expect(given).not.toContain(taken[3]);
  const larger = new ArrayBuffer(17 * MIB);
  spare.give(larger);
  expect(spare.take(MIB).buffer).not.toBe(larger);
});
