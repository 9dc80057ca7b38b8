import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readKeySet, readTls } from '@cabstand/auth';
import type { PublicKey } from '@cabstand/auth';
import {
  authConfigSchema,
  generateSubnetKeys,
  rotateKey,
  subnetPaths,
  tlsConfigSchema,
} from '@cabstand/auth-admin';
import { FakeClock } from '@cabstand/core';
import { certificateExpiry, exportKeyExpiry, retiredKeyUse } from './expiry';
import { Metrics } from './metrics';

const DAY_MS = 24 * 3600 * 1000;

let folder: string;
let metrics: Metrics;
const clock = new FakeClock();

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'cabstand-expiry-'));
  await generateSubnetKeys({ folder, clock });
  metrics = new Metrics('test');
});
afterEach(() => {
  metrics.close();
  rmSync(folder, { recursive: true, force: true });
});

async function value(series: string): Promise<string | undefined> {
  const found = (await metrics.render()).split('\n').find((line) => line.startsWith(series));
  return found?.slice(found.lastIndexOf(' ') + 1);
}

const auth = () => {
  const { keys, key } = subnetPaths(folder);
  return authConfigSchema.parse({ mode: 'keys', keys, key: key('hoster') });
};

test('a rotated key has an end for whoever still signs with it, and none for its principal', async () => {
  exportKeyExpiry(metrics, auth(), { clock });
  const own = 'cabstand_own_key_expiry_timestamp_seconds';
  const member = 'cabstand_key_expiry_timestamp_seconds{principal="hoster"';
  expect(await value(own)).toBe('+Inf');
  expect(await value(member)).toBe('+Inf');
  const ends = clock.now() + 7 * DAY_MS;
  rotateKey({ folder, name: 'hoster', clock });
  // As long as the key set is not looked at again.
  expect(await value(own)).toBe('+Inf');
  await clock.advance(5000);
  expect(await value(own)).toBe(String(ends / 1000));
  expect(await value(member)).toBe('+Inf');
});

test('the last use of a retired key is told until its end, and no use of others', async () => {
  const used = retiredKeyUse(metrics, clock);
  const name = 'cabstand_retired_key_last_used_timestamp_seconds{principal="hoster"';
  const newest = (at: number) => [...readKeySet(subnetPaths(folder).keys).all()].at(at)!;
  const hoster = (): PublicKey =>
    [...readKeySet(subnetPaths(folder).keys).all()].find(
      ({ principal }) => principal === 'hoster',
    )!;
  used(hoster());
  expect(await value(name)).toBeUndefined();
  rotateKey({ folder, name: 'hoster', clock });
  used(newest(-1));
  expect(await value(name)).toBeUndefined();
  used(hoster());
  await clock.advance(5000);
  used(hoster());
  expect(await value(name)).toBe(String(clock.now() / 1000));
  await clock.advance(8 * DAY_MS);
  expect(await value(name)).toBeUndefined();
});

test('since when a key is known to be retired is told until its end', async () => {
  const name = 'cabstand_retired_key_known_since_timestamp_seconds{principal="hoster"';
  exportKeyExpiry(metrics, auth(), { clock });
  expect(await value(name)).toBeUndefined();
  rotateKey({ folder, name: 'hoster', clock });
  // It is not known yet.
  expect(await value(name)).toBeUndefined();
  await clock.advance(5000);
  const learned = String(clock.now() / 1000);
  expect(await value(name)).toBe(learned);
  await clock.advance(DAY_MS);
  expect(await value(name)).toBe(learned);
  // A process that starts now has not seen what came before.
  metrics.close();
  metrics = new Metrics('test');
  exportKeyExpiry(metrics, auth(), { clock });
  const started = String(clock.now() / 1000);
  await clock.advance(DAY_MS);
  expect(await value(name)).toBe(started);
  await clock.advance(7 * DAY_MS);
  expect(await value(name)).toBeUndefined();
});

test('without credentials there is nothing that ends', async () => {
  exportKeyExpiry(metrics, authConfigSchema.parse({ mode: 'none' }));
  expect(await metrics.render()).not.toContain('key_expiry');
});

test('certificates are told when they come into use', async () => {
  const { cert, certKey, ca } = subnetPaths(folder);
  const onCertificate = certificateExpiry(metrics);
  const name = 'cabstand_certificate_expiry_timestamp_seconds';
  expect(await value(`${name}{`)).toBeUndefined();
  const config = tlsConfigSchema.parse({ cert: cert('hoster'), key: certKey('hoster'), ca });
  readTls(config, { onCertificate, clock });
  const days = async (use: string): Promise<number> =>
    (Number(await value(`${name}{use="${use}"`)) * 1000 - clock.now()) / DAY_MS;
  const [own, authority] = [await days('own'), await days('ca')];
  expect(own).toBeCloseTo(365, 0);
  expect(authority).toBeCloseTo(3650, 0);
});
