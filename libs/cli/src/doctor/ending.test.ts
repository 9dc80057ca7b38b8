/** Keys and certificates near their end: by a clock that is given, at the thresholds that docs/operations/watching.md states. */
import { X509Certificate } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { generateSubnetKeys, rotateKey, rotateSealKey, subnetPaths } from '@cabstand/auth-admin';
import { FakeClock } from '@cabstand/core';
import { Folder } from '../folder.fixture';
import { judge } from './certificates';
import { checkKeys } from './keys';
import { checkService } from './service';
import { ending } from './thresholds';

const DAY_MS = 24 * 3600 * 1000;
const folder = new Folder();
const keys = path.join(folder.path, 'keys');
const clock = new FakeClock();
const madeMs = clock.now();

beforeAll(() => generateSubnetKeys({ folder: keys, hosts: ['r.example.org'], clock }));
afterAll(() => folder.remove());

test.each([
  [31, undefined],
  [30, undefined],
  [29.9, 'warn'],
  [0.1, 'warn'],
  [0, 'fail'],
  [-1, 'fail'],
])('what ends in %d days: %s', (days, status) => {
  const found = ending('keys', 'it', madeMs + days * DAY_MS, madeMs, 'Renew it.');
  expect(found?.status).toBe(status);
});

test('certificates of a folder are warned of, then fail, with the command that renews each', () => {
  const about = (days: number) =>
    checkKeys(keys, true, madeMs + days * DAY_MS).filter(({ message }) => /\.crt/.test(message));
  expect(about(330)).toEqual([]);
  expect(about(340).every(({ status }) => status === 'warn')).toBe(true);
  expect(about(340).map(({ advice }) => advice)).toContain(
    `cabstand keys cert router --out ${keys}`,
  );
  expect(about(370).every(({ status }) => status === 'fail')).toBe(true);
});

describe('the certificate that a server shows', () => {
  const shown = () => {
    const file = readFileSync(subnetPaths(keys).cert('router'));
    return { certificate: new X509Certificate(file).toLegacyObject(), distrust: undefined };
  };
  const told = (address: string, days: number, distrust?: string) =>
    judge(address, { ...shown(), distrust }, madeMs + days * DAY_MS).map(
      ({ status, message }) => `${status} ${message}`,
    );

  test('is well where it is for the name that is called, and good for a while', () => {
    expect(told('r.example.org:50050', 1)).toEqual([
      expect.stringMatching(/^ok good until 20\d\d-\d\d-\d\d, for .*r\.example\.org/),
    ]);
    expect(told('127.0.0.1:50050', 1)[0]).toMatch(/^ok/);
  });

  test('is told of with all that is wrong with it at once', () => {
    expect(told('10.0.0.7:50050', 366, 'SELF_SIGNED_CERT_IN_CHAIN')).toEqual([
      expect.stringMatching(/^fail is for .*r\.example\.org.*, not for 10\.0\.0\.7$/),
      expect.stringMatching(/^fail no authority that is trusted here signed it/),
      expect.stringMatching(/^fail it expired on/),
    ]);
    expect(told('r.example.org:1', 350)).toEqual([expect.stringMatching(/^warn it expires on/)]);
    expect(told('r.example.org:1', -10)).toEqual([
      expect.stringMatching(/^fail is not valid before/),
    ]);
  });
});

test('the key and the certificate of a service that is configured', () => {
  const { keys: set, key, cert } = subnetPaths(keys);
  const own = path.join(folder.path, 'own.key.json');
  copyFileSync(key('hoster'), own);
  const check = (advertise: string, days: number) =>
    checkService(
      {
        ...{ service: 'hoster', file: 'hoster.yaml' },
        settings: {
          ...{ listen: '0.0.0.0:50051', advertise, tls: { cert: cert('hoster') } },
          ...{ auth: { keys: set, key: own } },
          rpc: { max_connections: 1, max_concurrent_calls: 1 },
        },
      },
      madeMs + days * DAY_MS,
    ).map(({ status, message }) => `${status} ${message}`);
  expect(check('r.example.org:50051', 1)).toEqual(['ok a hoster can be started with it']);
  expect(check('h.example.org:50051', 366)).toEqual([
    expect.stringContaining('not for h.example.org'),
    expect.stringMatching(/^fail .*hoster\.crt.* expired on/),
  ]);
  rotateKey({ folder: keys, name: 'hoster', clock });
  expect(check('r.example.org:50051', 1)).toEqual([
    expect.stringMatching(/^warn the key in .*own\.key\.json expires on/),
  ]);
});

test('keys without a successor are told of', () => {
  const about = (days: number): string[] =>
    checkKeys(keys, true, madeMs + days * DAY_MS)
      .filter(({ message }) => message.includes('the last'))
      .map(({ status, message }) => `${status} ${message.replace(/ (on|expires).*/, '')}`);
  rotateSealKey({ folder: keys, beginsMs: 0, overlapMs: DAY_MS, clock });
  // The newest key of each has no end.
  expect(about(340)).toEqual([]);
  const { keys: file, seal } = subnetPaths(keys);
  const not_after = new Date(madeMs + 60 * DAY_MS).toISOString();
  for (const one of [file, seal]) {
    const set = JSON.parse(readFileSync(one, 'utf8')) as { keys: { principal?: string }[] };
    const ends = ({ principal = 'client' }: { principal?: string }): boolean =>
      principal === 'client';
    const changed = set.keys.map((key) => (ends(key) ? { ...key, not_after } : key));
    writeFileSync(one, JSON.stringify({ ...set, keys: changed }));
  }
  expect(about(29)).toEqual([]);
  expect(about(31)).toEqual(['warn the last key of client', 'warn the last seal key']);
  expect(about(60)).toEqual([
    expect.stringMatching(/^fail the last key of client/),
    expect.stringMatching(/^fail the last seal key/),
  ]);
});
