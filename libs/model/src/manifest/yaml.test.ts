/** What a manifest may cost whoever reads it, and what its keys may be. */
import { parseManifest } from './parse';
import { LARGEST_MANIFEST, parseYaml } from './yaml';

/** As much of a text as is read. */
const filled = (text: string): string =>
  text.repeat(Math.ceil(LARGEST_MANIFEST / text.length)).slice(0, LARGEST_MANIFEST);
const numbered = (line: (number: number) => string): string =>
  Array.from({ length: 20_000 }, (_, number) => line(number))
    .join('')
    .slice(0, LARGEST_MANIFEST);

const messageOf = (text: string): string => {
  try {
    parseManifest(text, 'model.yaml');
    return 'fine';
  } catch (error) {
    return (error as Error).message;
  }
};

// Of 650 KiB with 60,000 keys the parser alone had 39 s, and of 64 KiB with complex keys a second.
test.each([
  ['keys', numbered((i) => `k${i}: 1\n`)],
  ['keys of a flow', `{${numbered((i) => `k${i}: 1,`)}`],
  ['long keys', numbered((i) => `some-key-of-a-usual-length-${i}: some value of a usual length\n`)],
  ['lists', filled('[')],
  ['maps', filled('{')],
  ['lists in lines', filled('- ')],
  ['entries', filled('- a\n')],
  ['complex keys', `{${filled('[a]: b,')}`],
  ['anchors', filled('&a ')],
  ['aliases', `a: &a x\nb: [${filled('*a,')}`],
  ['directives', filled('%a\n')],
  ['empty lines', filled('\n')],
  ['one text', filled('text ')],
  ['wide text', filled('é')],
])('%s by the thousand are read or refused at once', (_, text) => {
  parseYaml('warm: up', 'model.yaml');
  const begun = process.cpuUsage();
  expect(messageOf(text)).not.toBe('fine');
  // Measured at 5 to 150 ms; seconds without the limits.
  expect(process.cpuUsage(begun).user).toBeLessThan(1e6);
});

test.each([
  ['a: 1\nb: 2\na: 3', 'model.yaml:3:1: not YAML: key a is there twice in one map'],
  ['x: { "a b": 1, "a b": 2 }', 'model.yaml:1:16: not YAML: key "a b" is there twice in one map'],
  [`${'k'.repeat(200)}: 1\n${'k'.repeat(200)}: 1`, `key ${'k'.repeat(60)}… is there twice`],
  ['? [a, b]\n: 1', 'a key that is no text'],
  [`a: ${'['.repeat(40)}${']'.repeat(40)}`, 'more than 32 maps and lists within one another'],
  ['a: &a [1]\nb: *nowhere', 'nowhere'],
])('%j is refused with its place', (text, message) => {
  expect(messageOf(text)).toContain(message);
});

test('the same key in different maps, and a list of a thousand labels, are fine', () => {
  const labels = Array.from({ length: 1000 }, (_, i) => `label ${i}`);
  const text = `outputs: { a: { labels: [${labels.join(', ')}] }, b: { labels: [x] } }`;
  expect(parseYaml(text, 'model.yaml')).toEqual({
    outputs: { a: { labels }, b: { labels: ['x'] } },
  });
});

test('of many problems the first are named, and their number', () => {
  const message = messageOf(Array.from({ length: 500 }, (_, i) => `key${i}: 1`).join('\n'));
  expect(message).toMatch(/^model\.yaml: 500 problems:\n {2}key0: unknown key/);
  expect(message).toMatch(/\n {2}… and 480 more$/);
  expect(message.split('\n')).toHaveLength(22);
});
