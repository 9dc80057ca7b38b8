import { nestsDeeper } from './json-depth';

test.each([
  ['[[1]]', 2, false],
  ['[[1]]', 1, true],
  ['{"a":{"b":[]}}', 2, true],
  ['[[],[],[]]', 2, false],
  // What is in a string is no list.
  ['["[[[[", "\\"[[["]', 1, false],
  ['"\\\\"[[', 1, true],
  ['', 0, false],
])('%s is deeper than %d: %s', (json, most, deeper) => {
  expect(nestsDeeper(json, most)).toBe(deeper);
});

test('however deep it is, it is found without going in', () => {
  expect(nestsDeeper('['.repeat(5_000_000))).toBe(true);
});
