/** By which ways tokens may come. */
import type { IncomingMessage } from 'node:http';
import { checkWay } from './origin';

function from(
  remoteAddress: string,
  headers: Readonly<Record<string, string>> = {},
  encrypted = false,
): IncomingMessage {
  const socket = encrypted ? { remoteAddress, encrypted } : { remoteAddress };
  return { headers, socket } as unknown as IncomingMessage;
}

test.each(['127.0.0.1', '::1', '::ffff:127.0.0.1'])('%s is this machine', (address) => {
  expect(() => checkWay(from(address), false)).not.toThrow();
});

test('from elsewhere tokens come encrypted, or are refused with what to do', () => {
  expect(() => checkWay(from('10.0.0.7'), false)).toThrow(/HTTPS.*tls.*ssh -L/);
  expect(() => checkWay(from('10.0.0.7', {}, true), false)).not.toThrow();
});

test('where no token is asked for nobody from elsewhere is let in', () => {
  expect(() => checkWay(from('10.0.0.7', { host: '10.0.0.1:8050' }, true), true)).toThrow(
    /its own machine only/,
  );
});

test.each([
  ['127.0.0.1:8050', true],
  ['localhost:8050', true],
  ['[::1]:8050', true],
  ['localhost.example:8050', false],
  ['rebound.example', false],
  ['', false],
])('without tokens the name %s counts as own: %s', (host, own) => {
  const check = (): void => checkWay(from('127.0.0.1', { host }), true);
  if (own) expect(check).not.toThrow();
  else expect(check).toThrow(/open the console by address/);
});

test.each(['cross-site', 'same-site'])('a page elsewhere is not answered: %s', (site) => {
  for (const open of [true, false]) {
    const asked = from('127.0.0.1', { 'sec-fetch-site': site, host: '127.0.0.1:8050' });
    expect(() => checkWay(asked, open)).toThrow(/its own page only/);
  }
});
