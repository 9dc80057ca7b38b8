import { Packs } from './packs';
import type { Placement, PlacementRequest } from './types';

const REQUEST: PlacementRequest = { model: 'm' };
const anything = (): boolean => true;

function place(id: string): Placement {
  const node = { nodeId: id, incarnation: '1', address: `${id}:1` };
  return { node, lease: { id, ticket: `ticket of ${id}` }, alternatives: [] };
}

/** Opens sessions at an even pace from now on, each with an answer at once. Answers what routers were asked. */
function opening(packs: Packs, from: number, perSecond: number, seconds: number): number[] {
  const asked: number[] = [];
  for (let i = 0; i < perSecond * seconds; i++) {
    const now = from + (i * 1000) / perSecond;
    if (packs.take(REQUEST, now, anything) !== undefined) continue;
    const count = packs.count(REQUEST, now);
    asked.push(count);
    if (count > 1)
      packs.put(
        REQUEST,
        now,
        Array.from({ length: count - 1 }, (_, n) => place(`${now}-${n}`)),
      );
  }
  return asked;
}

test('who opens seldom asks for one place each time', () => {
  expect(new Set(opening(new Packs(), 0, 5, 10))).toEqual(new Set([1]));
});

test('who opens often asks once for several, and never for more than a router gives', () => {
  const asked = opening(new Packs(), 0, 500, 4);
  expect(Math.max(...asked)).toBe(16);
  // 2,000 sessions: nearly all of them in packs of 16.
  expect(asked.length).toBeLessThan(160);
  expect(opening(new Packs(), 0, 40, 4).at(-1)).toBeGreaterThan(2);
});

test('several at once do not each ask for a pack', () => {
  const packs = new Packs();
  opening(packs, 0, 500, 2);
  while (packs.take(REQUEST, 2000, anything) !== undefined);
  expect(packs.count(REQUEST, 2000)).toBe(16);
  expect(packs.count(REQUEST, 2000)).toBe(1);
  packs.failed(REQUEST, 2000);
  expect(packs.count(REQUEST, 2000)).toBe(16);
});

test('as many wait for a pack as the one before had places', async () => {
  const packs = new Packs();
  opening(packs, 0, 500, 2);
  while (packs.take(REQUEST, 2000, anything) !== undefined);
  expect(packs.coming(REQUEST, 2000)).toBeUndefined();
  expect(packs.count(REQUEST, 2000)).toBe(16);
  const waiting = Array.from({ length: 16 }, () => packs.coming(REQUEST, 2000));
  expect(waiting.map((one) => one !== undefined)).toEqual([...Array(15).fill(true), false]);
  expect(packs.coming({ ...REQUEST, resume: true }, 2000)).toBeUndefined();
  packs.put(REQUEST, 2000, [place('a')]);
  for (const one of waiting) await one;
  expect(packs.again(REQUEST, 2000, anything)?.lease?.id).toBe('a');
  expect(packs.again(REQUEST, 2000, anything)).toBeUndefined();
  // That one brought little, and the next brings nothing: nobody waits any more.
  expect(packs.count(REQUEST, 2000)).toBe(16);
  const last = packs.coming(REQUEST, 2000);
  expect(packs.coming(REQUEST, 2000)).toBeUndefined();
  packs.failed(REQUEST, 2000);
  await last;
  expect(packs.count(REQUEST, 2000)).toBe(16);
  expect(packs.coming(REQUEST, 2000)).toBeUndefined();
});

test('places that are old, or whose hoster is not good any more, are given back', () => {
  const packs = new Packs();
  packs.put(REQUEST, 0, [place('a'), place('b'), place('c')]);
  expect(packs.take(REQUEST, 500, ({ node }) => node.nodeId !== 'a')?.lease?.id).toBe('b');
  expect(packs.returned(500)).toEqual(['a']);
  expect(packs.take(REQUEST, 1000, anything)).toBeUndefined();
  expect(packs.returned(1000)).toEqual(['c']);
  packs.put(REQUEST, 1000, [place('d')]);
  expect(packs.returned(1999)).toEqual([]);
  expect(packs.returned(2000)).toEqual(['d']);
  expect(packs.returned(2000)).toEqual([]);
});

test('places are for requests of their kind: model, weights, lists and principal', () => {
  for (const other of [
    { model: 'n' },
    { model: 'm', digest: 'sha256:1' },
    { model: 'm', allow: ['a'] },
    { model: 'm', block: ['b'] },
    { model: 'm', onBehalfOf: 'alice' },
    { model: 'm', resume: true },
    { model: 'm', avoid: [{ nodeId: 'a', incarnation: '1' }] },
  ]) {
    const packs = new Packs();
    packs.put(REQUEST, 0, [place('a')]);
    expect(packs.take(other, 1, anything)).toBeUndefined();
    expect(packs.take({ ...REQUEST, sessionId: 's' }, 1, anything)).toEqual(place('a'));
  }
});

test('nobody asks for packs where the router knows none', () => {
  const packs = new Packs();
  packs.forgo();
  expect(new Set(opening(packs, 0, 500, 1))).toEqual(new Set([1]));
});
