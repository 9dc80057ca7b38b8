/** What Prometheus sees of a real subnet with keys and TLS. */
import path from 'node:path';
import {
  SignatureAuthorizer,
  channelCredentials,
  generateSubnetKeys,
  readPrivateKey,
  subnetPaths,
  tlsConfigSchema,
} from '@cabstand/auth';
import { HosterService, RpcClient } from '@cabstand/rpc';
import { Subnet, pageFaults, scrape, total, until } from '@cabstand/testing';
import { TestClient } from '../support/client';

/** A hoster with three models. Prometheus reads each series at each scrape. */
const MOST_SERIES = 1500;
const YEAR_SECONDS = 365 * 24 * 3600;

let subnet: Subnet;

beforeAll(async () => {
  subnet = await Subnet.start({ hosters: 1, tls: true });
}, 90_000);

afterAll(() => subnet.stop());

const services = () => [...subnet.routers, ...subnet.hosters];
const credentials = () => channelCredentials(tlsConfigSchema.parse(subnet.clientTls));
const hoster = () => subnet.hosters[0]!;

test('every metric can be understood alone and is there before anything happens', async () => {
  for (const { admin } of services()) {
    const page = await (await fetch(`http://${admin}/metrics`)).text();
    expect(pageFaults(page)).toEqual([]);
    const series = await scrape(admin);
    expect(series.size).toBeLessThan(MOST_SERIES);
    expect(total(series, 'cabstand_build_info')).toBe(1);
    expect(total(series, 'grpc_server_handled_total', { grpc_code: 'UNAUTHENTICATED' })).toBe(0);
    const own = total(series, 'cabstand_certificate_expiry_timestamp_seconds', { use: 'own' });
    expect(Math.abs(own - (Date.now() / 1000 + YEAR_SECONDS))).toBeLessThan(3600);
    expect(total(series, 'cabstand_own_key_expiry_timestamp_seconds')).toBe(Infinity);
    expect(total(series, 'cabstand_key_expiry_timestamp_seconds', { principal: 'hoster' })).toBe(
      Infinity,
    );
  }
});

test('a session, its engine and its wait for a slot are seen; none of it makes a new series', async () => {
  const before = await scrape(hoster().admin);
  expect(total(before, 'cabstand_sessions_opened_total', { model: 'g2p' })).toBe(0);
  await using client = new TestClient(subnet, { credentials: credentials() });
  const session = await client.session('g2p');
  for await (const chunk of session.runProtocolTask('taxi')) expect(chunk).toBeDefined();
  const after = await until('engines to tell what they use', async () => {
    const series = await scrape(hoster().admin);
    const cpu = total(series, 'cabstand_engine_cpu_seconds_total', { model: 'g2p' });
    return cpu > 0 ? series : undefined;
  });
  expect(total(after, 'cabstand_sessions_opened_total', { model: 'g2p' })).toBe(1);
  expect(total(after, 'cabstand_queue_wait_seconds_count', { model: 'g2p' })).toBe(1);
  expect(total(after, 'cabstand_engine_resident_bytes', { model: 'g2p' })).toBeGreaterThan(2 ** 24);
  const made = [...after.keys()].filter((key) => !before.has(key));
  expect(made.filter((key) => key.startsWith('cabstand_') || key.startsWith('grpc_'))).toEqual([]);
});

test('callers that are refused are counted by reason', async () => {
  const folder = path.join(subnet.folder, 'foreign');
  await generateSubnetKeys({ folder });
  const stranger = new SignatureAuthorizer({
    key: readPrivateKey(subnetPaths(folder).key('client')),
  });
  const client = new RpcClient(hoster().dialled, {
    authorizer: stranger,
    credentials: credentials(),
  });
  try {
    await expect(client.unary(HosterService.rpc_info, {})).rejects.toMatchObject({
      reason: 'KEY_UNKNOWN',
    });
  } finally {
    client.close();
  }
  const series = await scrape(hoster().admin);
  expect(total(series, 'cabstand_auth_refusals_total', { reason: 'KEY_UNKNOWN' })).toBe(1);
  expect(total(series, 'cabstand_auth_refusals_total')).toBe(1);
});
