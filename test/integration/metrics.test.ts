/** What Prometheus sees of a real subnet with keys and TLS. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { SignatureAuthorizer, channelCredentials, readPrivateKey } from '@cabstand/auth';
import { generateSubnetKeys, subnetPaths, tlsConfigSchema } from '@cabstand/auth-admin';
import { HosterService, RpcClient } from '@cabstand/rpc';
import {
  REPOSITORY_ROOT,
  Subnet,
  TEST_MODELS,
  freePorts,
  pageFaults,
  scrape,
  total,
  until,
} from '@cabstand/testing';
import { TestClient } from '../support/client';
import { Gateway } from '../support/gateway';
import { documentedMetrics, metricsOf, namedMetrics, queryNames } from '../support/metric-names';
import type { ExportedMetric } from '../support/metric-names';

const MODEL = 'counter-generator';
const MODELS = [MODEL, 'accumulator', 'leaky'];
/** A hoster with three models. Prometheus reads each series at each scrape. */
const MOST_SERIES = 1950;
const YEAR_SECONDS = 365 * 24 * 3600;

let subnet: Subnet;

beforeAll(async () => {
  subnet = await Subnet.start({
    hosters: 1,
    tls: true,
    models: TEST_MODELS,
    hosterConfig: { only: MODELS },
  });
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
  // Gauges of engines have a value once their engine has told one.
  const before = await until('engines to tell how they are', async () => {
    const series = await scrape(hoster().admin);
    const told = [...series.keys()].filter((key) => key.startsWith('cabstand_engine_resident'));
    return told.length === MODELS.length ? series : undefined;
  });
  expect(total(before, 'cabstand_sessions_opened_total', { model: MODEL })).toBe(0);
  await using client = new TestClient(subnet, { credentials: credentials() });
  const session = client.session(MODEL);
  for await (const chunk of session.runProtocolTask('123')) expect(chunk).toBeDefined();
  const after = await scrape(hoster().admin);
  expect(total(after, 'cabstand_engine_cpu_seconds_total', { model: MODEL })).toBeGreaterThan(0);
  expect(total(after, 'cabstand_sessions_opened_total', { model: MODEL })).toBe(1);
  expect(total(after, 'cabstand_queue_wait_seconds_count', { model: MODEL })).toBe(1);
  expect(total(after, 'cabstand_engine_resident_bytes', { model: MODEL })).toBeGreaterThan(2 ** 24);
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

/** What is read by people, and what Prometheus, Grafana and autoscalers are given. */
const NAMING = [
  'docs/operations/watching.md',
  'docs/operations/runbook.md',
  'docs/operations/settings.md',
  'deploy/prometheus/alerts.yml',
  'deploy/prometheus/alerts.test.yml',
  'deploy/grafana/dashboards/cabstand.json',
  'deploy/kubernetes/monitoring/adapter-rule.yaml',
  'deploy/kubernetes/monitoring/keda.yaml',
];

test('dashboard, alert rules and documentation name metrics that there are, and docs/metrics.md all of them', async () => {
  const [port] = await freePorts(1);
  await using gateway = await Gateway.start(subnet, {
    http: { listen: `127.0.0.1:${String(port)}` },
  });
  const [router, hosting, gated] = await Promise.all(
    [subnet.routers[0]!, hoster(), gateway].map(async ({ admin }) =>
      metricsOf(await (await fetch(`http://${admin}/metrics`)).text()),
    ),
  );
  const known = queryNames([...router!, ...hosting!, ...gated!]);
  const read = (file: string) => readFileSync(path.join(REPOSITORY_ROOT, file), 'utf8');
  for (const file of NAMING) {
    const named = namedMetrics(read(file));
    expect(named.length).toBeGreaterThan(2);
    expect(named.filter((name) => !known.has(name)).map((name) => `${file}: ${name}`)).toEqual([]);
  }

  const names = (metrics: typeof router) => new Set(metrics!.map(({ name }) => name));
  const shared = [names(router), names(hosting), names(gated)];
  const everywhere = ({ name }: ExportedMetric) => shared.every((each) => each.has(name));
  const rows = (metrics: readonly ExportedMetric[]) =>
    metrics
      .filter(({ name }) => /^(cabstand|grpc_server)_/.test(name))
      .map(({ name, type, help }) => [name, type, help.replaceAll('|', '\\|')].join(' | '))
      .sort();
  expect(Object.fromEntries(documentedMetrics(read('docs/metrics.md')))).toEqual({
    'Every service': rows(router!.filter(everywhere)),
    Router: rows(router!.filter((each) => !everywhere(each))),
    Hoster: rows(hosting!.filter((each) => !everywhere(each))),
    Gateway: rows(gated!.filter((each) => !everywhere(each))),
  });
});
