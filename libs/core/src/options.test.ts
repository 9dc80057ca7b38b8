import { nearest } from './nearest';
import { checkOptions } from './options';

const NAMES = { size: true, inner: { depth: true } } as const;

test('known members and undefined ones pass', () => {
  expect(() =>
    checkOptions('it', { size: 1, inner: { depth: 2 }, sice: undefined }, NAMES),
  ).not.toThrow();
});

test('an unknown member is named, with what is known and what was meant', () => {
  expect(() => checkOptions('it', { sice: 1 }, NAMES)).toThrow(
    'sice: it has no such option, expected one of size, inner; did you mean size?',
  );
  expect(() => checkOptions('it', { inner: 3 }, NAMES)).toThrow('inner: got 3, expected an object');
});

test('members that every object has are unknown when they are given', () => {
  expect(() => checkOptions('it', { constructor: 1 }, NAMES)).toThrow('constructor: it has no');
});

test('the nearest word is near, whatever its case', () => {
  expect(nearest('SISE', ['depth', 'size'])).toBe('size');
  expect(nearest('weight', ['depth', 'size'])).toBeUndefined();
});
