import { FakeClock } from '@cabstand/core';
import { newHalf } from './mac-agreement';
import { MacKeys } from './mac-keys';
import { alice, bob } from './mac.fixture';

function setup(options: ConstructorParameters<typeof MacKeys>[2] = {}) {
  const clock = new FakeClock();
  const keys = new MacKeys('router-1', clock, options);
  const make = (who = alice): string => {
    const offer = { caller: who.known, audience: 'a:1', half: newHalf().publicKey };
    const agreement = keys.agree(offer);
    if (agreement === undefined) throw new Error('no key');
    return agreement.macKeyId;
  };
  const use = (id: string): void => {
    const key = keys.find(id);
    if (key !== undefined) keys.used(key);
  };
  const there = (ids: readonly string[]): boolean[] => ids.map((id) => keys.find(id) !== undefined);
  return { clock, keys, make, use, there };
}

test('the key that was not used for longest makes room', () => {
  const { keys, make, use, there } = setup({ maxKeys: 3 });
  const ids = [make(), make(bob), make()];
  use(ids[0]!);
  ids.push(make(bob));
  expect(there(ids)).toEqual([true, false, true, true]);
  expect(keys.size).toBe(3);
});

test('asking for a key is not using it: whoever has no MAC keeps none alive', () => {
  const { make, there, keys } = setup({ maxKeys: 2 });
  const ids = [make(), make()];
  keys.find(ids[0]!);
  ids.push(make());
  expect(there(ids)).toEqual([false, true, true]);
});

test('one caller pushes out its own only', () => {
  const { keys, make, use, there } = setup({ maxKeys: 100, maxKeysPerKey: 2 });
  const theirs = make(bob);
  const mine = [make(), make()];
  use(mine[0]!);
  for (let i = 0; i < 50; i++) {
    mine.push(make());
    use(mine[0]!);
  }
  expect(keys.size).toBe(3);
  expect(there([theirs, mine[0]!, mine[1]!, mine.at(-1)!])).toEqual([true, true, false, true]);
});

test('where both limits are met, one goes', () => {
  const { keys, make, there } = setup({ maxKeys: 3, maxKeysPerKey: 2 });
  const theirs = make(bob);
  const mine = [make(), make(), make()];
  expect(keys.size).toBe(3);
  expect(there([theirs, ...mine])).toEqual([true, false, true, true]);
});

test('those that end are forgotten, asked for or not', async () => {
  const { clock, keys, make, there } = setup({ lifetimeMs: 60_000 });
  const asked = make();
  for (let i = 0; i < 100; i++) make(bob);
  await clock.advance(59_999);
  expect(there([asked])).toEqual([true]);
  await clock.advance(1);
  expect(there([asked])).toEqual([false]);
  expect(keys.size).toBe(100);
  const young = make();
  expect(keys.size).toBe(1);
  expect(there([young])).toEqual([true]);
});

test.each([
  [{ lifetimeMs: 300_001 }, 'lifetimeMs'],
  [{ lifetimeMs: -1 }, 'lifetimeMs'],
  [{ lifetimeMs: NaN }, 'lifetimeMs'],
  [{ maxKeys: 0 }, 'maxKeys'],
  [{ maxKeysPerKey: 1.5 }, 'maxKeysPerKey'],
])('%j is refused', (options, field) => {
  expect(() => setup(options)).toThrow(field);
});
