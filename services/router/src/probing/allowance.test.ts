import { allowance, isAllowEntry, isLoopback } from './allowance';

const LOOPBACK = [
  '127.0.0.1',
  '127.9.9.9',
  '[::1]',
  '[::ffff:127.0.0.1]',
  'localhost',
  'A.localhost',
];
const NEVER = [
  '169.254.169.254',
  '[::ffff:169.254.169.254]',
  '[::ffff:a9fe:a9fe]',
  '[fe80::1]',
  '0.0.0.0',
  '0.1.2.3',
  '[::]',
  '224.0.0.1',
  '255.255.255.255',
  '[ff02::1]',
];
const COMMON = ['10.0.0.1', '172.18.0.3', '8.8.8.8', '[2001:db8::1]', 'hoster1', 'a.example.org'];

test('without a list everything is allowed but what no other machine can have', () => {
  const { refuses } = allowance(undefined, false);
  for (const host of [...NEVER, ...LOOPBACK])
    expect({ host, why: refuses(host) }).toEqual({ host, why: expect.any(String) as unknown });
  for (const host of COMMON) expect({ host, why: refuses(host) }).toEqual({ host });
});

test('a router on loopback takes hosters on loopback', () => {
  const { refuses, refusesResolved } = allowance(undefined, true);
  for (const host of [...LOOPBACK, ...COMMON])
    expect({ host, why: refuses(host) }).toEqual({ host });
  for (const host of NEVER) expect(refuses(host)).toBeDefined();
  expect(refusesResolved('127.0.0.1')).toBeUndefined();
  expect(refusesResolved('169.254.169.254')).toBe('a link-local address');
});

test('a list allows what is in it and nothing else, special addresses included', () => {
  const list = [
    '10.1.0.0/16',
    '192.0.2.7',
    '169.254.1.0/24',
    'Hoster1',
    '*.example.org',
    'fd00::/8',
  ];
  const { refuses, refusesResolved } = allowance(list, true);
  const allowed = [
    '10.1.2.3',
    '[::ffff:10.1.2.3]',
    '192.0.2.7',
    '169.254.1.1',
    'HOSTER1',
    '[fd00::1]',
  ];
  for (const host of [...allowed, 'a.example.org', 'a.b.example.org'])
    expect({ host, why: refuses(host) }).toEqual({ host });
  for (const host of ['10.2.0.1', '192.0.2.8', '127.0.0.1', 'localhost', 'hoster2', 'example.org'])
    expect(refuses(host)).toBe('not in the list');
  expect(refuses('badexample.org')).toBe('not in the list');
  expect(refusesResolved('169.254.1.1')).toBeUndefined();
  expect(refusesResolved('169.254.2.1')).toBe('a link-local address');
  expect(refusesResolved('10.9.9.9')).toBeUndefined();
});

test('an empty list allows nothing', () => {
  for (const host of [...COMMON, ...LOOPBACK])
    expect(allowance([], true).refuses(host)).toBe('not in the list');
});

test.each([
  ['10.0.0.0/8', true],
  ['10.0.0.0/33', false],
  ['10.0.0.0/', false],
  ['10.0.0.0/8/8', false],
  ['10.0.0', false],
  ['fd00::/8', true],
  ['fd00::/129', false],
  ['::1', true],
  ['hoster1', true],
  ['*.example.org', true],
  ['*', false],
  ['a.*.org', false],
  ['hoster1:50051', false],
  ['hoster1/8', false],
  ['', false],
])('%j as an entry of the list: %s', (entry, ok) => {
  expect(isAllowEntry(entry)).toBe(ok);
});

test('the loopback of the router itself', () => {
  for (const host of LOOPBACK) expect(isLoopback(host)).toBe(true);
  for (const host of [...COMMON, '0.0.0.0', '[::]']) expect(isLoopback(host)).toBe(false);
});
