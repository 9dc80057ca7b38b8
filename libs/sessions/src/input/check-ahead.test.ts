import { CabstandError } from '@cabstand/core';
import { tensorOf } from '@cabstand/tensor';
import { checkAhead, checkPartAhead, wasChecked } from './check-ahead';
import { InputCheck } from './input-check';
import { ANY_INPUT } from '@cabstand/testing';
import { turnDigest } from './turn-digest';
import type { TurnContent } from '../types';

const SIZE = 1024 * 1024;
const signature = {
  ...ANY_INPUT,
  limits: { ...ANY_INPUT.limits, maxInputBytes: 8 * SIZE, maxSequenceLength: 2 * SIZE },
};

const content = (wrongAt?: number, samples = SIZE): TurnContent => {
  const values = new Float32Array(samples);
  if (wrongAt !== undefined) values[wrongAt] = NaN;
  // At an odd place, as messages have them.
  const data = new Uint8Array(values.byteLength + 1).subarray(1);
  data.set(new Uint8Array(values.buffer));
  const tensors = [{ ...tensorOf('x', values), data }];
  return { prompt: '', parameters: {}, tensors, live: false };
};

const outcomeOf = (check: () => void): unknown => {
  try {
    check();
    return 'taken';
  } catch (error) {
    return CabstandError.from(error).message;
  }
};

const only = (one: TurnContent) => [{ content: one, parts: [] }];

test.each([
  ['nothing is wrong', undefined],
  ['the first value is wrong', 0],
  ['a value in the middle is wrong', 400_000],
  ['the last value is wrong', SIZE - 1],
])('the session finds what it would have found itself: %s', async (_what, wrongAt) => {
  const itself = outcomeOf(() => new InputCheck({ signature }).turn(content(wrongAt)));
  const ahead = content(wrongAt);
  await checkAhead(only(ahead), { signature, digests: false });
  expect(outcomeOf(() => new InputCheck({ signature }).turn(ahead))).toBe(itself);
  expect(itself).toMatch(wrongAt === undefined ? /taken/ : new RegExp(`element ${wrongAt}:`));
  const { tensors } = content(wrongAt);
  const part = outcomeOf(() => new InputCheck({ signature }).part(content(wrongAt).tensors));
  await checkPartAhead(tensors, signature);
  expect(outcomeOf(() => new InputCheck({ signature }).part(tensors))).toBe(part);
});

test('what was checked ahead is not looked at again, except for another model', async () => {
  const ahead = content();
  await checkAhead(only(ahead), { signature, digests: false });
  // Nobody does that to a message; here it tells whether anybody looks.
  ahead.tensors[0]?.data.fill(0xff);
  expect(outcomeOf(() => new InputCheck({ signature }).turn(ahead))).toBe('taken');
  const other = { ...signature };
  expect(outcomeOf(() => new InputCheck({ signature: other }).turn(ahead))).toMatch(/NaN/);
});

test('others have their turn while much is looked at', async () => {
  let turns = 0;
  const count = (): void => void (++turns, (next = setImmediate(count)));
  let next = setImmediate(count);
  await checkAhead(only(content()), { signature, digests: true });
  clearImmediate(next);
  // 4 MiB are checked and digested, half a MiB in one go.
  expect(turns).toBeGreaterThanOrEqual(14);
});

test('small content makes no detour', () => {
  const small = content(undefined, 512);
  expect(checkAhead(only(small), { signature, digests: true })).toBeUndefined();
  expect(checkPartAhead(small.tensors, signature)).toBeUndefined();
  expect(wasChecked(small, signature)).toBe(false);
});

test('a digest made ahead is that of the content', async () => {
  const ahead = content();
  await checkAhead(only(ahead), { signature: undefined, digests: true });
  expect(turnDigest(ahead)).toBe(turnDigest(content()));
  expect(turnDigest(ahead)).not.toBe(turnDigest(content(SIZE - 1)));
});
