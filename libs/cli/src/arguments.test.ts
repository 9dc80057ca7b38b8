import { address, addresses, list, parameter, seconds, wholeNumber } from './arguments';

test('numbers are whole and within their range', () => {
  expect(wholeNumber(1, 16)('2')).toBe(2);
  for (const bad of ['', ' ', 'two', '1.5', '0', '17', '1e9'])
    expect(() => wholeNumber(1, 16)(bad)).toThrow(/from 1 to 16/);
});

test('times have units, seconds by default', () => {
  expect([seconds('30'), seconds('1.5s'), seconds('500ms'), seconds('5m')]).toEqual([
    30_000, 1500, 500, 300_000,
  ]);
  for (const bad of ['', '0', '-1', '5h', 'soon', '99999999']) expect(() => seconds(bad)).toThrow();
});

test('addresses have a host and a port', () => {
  expect(addresses('a:1, b:2', ['c:3'])).toEqual(['c:3', 'a:1', 'b:2']);
  expect(address('[::1]:50050')).toBe('[::1]:50050');
  for (const bad of ['localhost', ':50050', 'a:0', 'a:65536', 'http://a:1', '::1:50050', 'a:b'])
    expect(() => address(bad)).toThrow(/HOST:PORT/);
});

test('parameters are JSON where they read as such', () => {
  let all = parameter('max_tokens=8');
  all = parameter('name=taxi', all);
  all = parameter('list=[1,2]', all);
  all = parameter('empty=', all);
  expect(all).toEqual({ max_tokens: 8, name: 'taxi', list: [1, 2], empty: '' });
  expect(() => parameter('novalue')).toThrow(/NAME=VALUE/);
});

test('options given several times are collected', () => {
  expect(list('b', list('a'))).toEqual(['a', 'b']);
});
