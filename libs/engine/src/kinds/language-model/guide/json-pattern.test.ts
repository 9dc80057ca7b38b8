import { jsonPattern } from './json-pattern';

test.each([
  ['^[a-z]+$', '^([a-z]+)$'],
  ['a|b', '^(a|b)$'],
  ['.', '^([^"\\\\])$'],
  ['[^a\\]]', '^([^"\\\\a\\]])$'],
  ['\\S\\d', '^([^\\s"\\\\]\\d)$'],
  ['[\\d_-]\\.', '^([\\d_-]\\.)$'],
  ['\\$', '^(\\$)$'],
])('%s becomes %s', (pattern, expected) => {
  expect(jsonPattern(pattern)).toBe(expected);
});

test.each([
  '"',
  '\\\\',
  '[ -~]',
  '["]',
  '[\\\\]',
  '\\x22',
  '\\u005C',
  'a^b',
  '^a|^b',
  'a$b',
  '[\\S]',
  '[a',
  '\\b',
  '[\\x20-\\x7e]',
  '\\',
])('%s could match what ends a string', (pattern) => {
  expect(jsonPattern(pattern)).toBeUndefined();
});
