/** docker-compose.yml without Docker: what its services may do, and whether they would start as they are configured. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { parse } from 'yaml';
import { isService, portOf, serviceConfig } from '../support/service-config';

interface Service {
  readonly command?: readonly string[];
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly mem_limit?: string;
  readonly pids_limit?: number;
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

interface JaegerConfig {
  readonly receivers: { otlp: { protocols: { http: { endpoint: string } } } };
  readonly extensions: { jaeger_query: { http: { endpoint: string } } };
}

const at = (...file: string[]) => path.join(REPOSITORY_ROOT, ...file);
const yaml = (file: string): unknown => parse(readFileSync(file, 'utf8'), { merge: true });
const { services, volumes } = yaml(at('docker-compose.yml')) as Compose;

/** A job that ends, and a client that ends. */
const JOBS = ['keys', 'demo'];
const staying = Object.entries(services).filter(([name]) => !JOBS.includes(name));
const own = staying.filter(([, { command }]) => isService(command?.[0]));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'cabstand-compose-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const moreHosters = (count: string) =>
  execFileSync(process.execPath, [at('deploy/hosters.mjs'), count, folder], { stdio: 'pipe' });

/** `NAME=value` as a service's process sees it. */
function configOf({ command: [name, ...argv] = [], environment = {} }: Service) {
  if (!isService(name)) throw new Error(`no service: ${name ?? ''}`);
  return serviceConfig(name, argv, environment);
}

test('gateway, Grafana, Jaeger and a GPU are to be had, the last three only for who asks', () => {
  expect(own.map(([name]) => name)).toEqual([
    'router',
    'hoster1',
    'hoster2',
    'hoster-gpu',
    'gateway',
  ]);
  const asked = staying.filter(([, { profiles }]) => profiles !== undefined);
  expect(asked.map(([name, { profiles }]) => [name, profiles])).toEqual([
    ['hoster-gpu', ['gpu']],
    ['grafana', ['grafana']],
    ['jaeger', ['tracing']],
  ]);
});

test('services tell traces where docs/tracing.md has them sent, and nobody without that', () => {
  const told = own.map(([, { environment }]) => environment?.OTEL_EXPORTER_OTLP_ENDPOINT);
  expect(new Set(told)).toEqual(new Set(['${OTLP_ENDPOINT:-}']));
  const command = /^OTLP_ENDPOINT=http:\/\/(\w+):(\d+) docker compose --profile (\w+) up --build$/m;
  const [, host = '', port, profile] =
    command.exec(readFileSync(at('docs/tracing.md'), 'utf8')) ?? [];
  const { profiles, ports } = services[host]!;
  expect(profiles).toEqual([profile]);
  const { receivers, extensions } = yaml(at('deploy/jaeger/jaeger.yaml')) as JaegerConfig;
  expect(portOf(receivers.otlp.protocols.http.endpoint)).toBe(Number(port));
  const page = portOf(extensions.jaeger_query.http.endpoint);
  expect(ports).toEqual([`127.0.0.1:${String(page)}:${String(page)}`]);
});

test.each(staying)('%s may write nothing, gains nothing, is bounded and watched', (_, service) => {
  expect(service.read_only).toBe(true);
  expect(service.cap_drop).toEqual(['ALL']);
  expect(service.security_opt).toEqual(['no-new-privileges:true']);
  expect(service.mem_limit).toMatch(/^\d+[mg]$/);
  expect(service.pids_limit).toBeGreaterThan(0);
  expect(service.healthcheck?.test[0]).toBe('CMD');
  expect(service.user).toBeUndefined();
  for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
});

test('the image has a user who is not root', () => {
  const file = readFileSync(at('deploy/Dockerfile'), 'utf8');
  expect(file.match(/^USER .*$/gm)).toEqual(['USER node']);
});

test.each(own)(
  '%s starts with its settings, and its health is asked where it answers',
  (_, each) => {
    const { admin, listen } = configOf(each);
    expect(each.healthcheck?.test.at(-1)).toBe(String(portOf(admin.listen)));
    const published = (each.ports ?? []).map((port) => Number(port.split(':').at(-1)));
    expect(published).toEqual([portOf(listen), portOf(admin.listen)]);
  },
);

test('no two services publish one port, and every volume is declared', () => {
  const ports = staying.flatMap(([, service]) => service.ports ?? []);
  const outside = ports.map((port) => port.split(':')[1]);
  expect(new Set(outside).size).toBe(outside.length);
  const mounted = Object.values(services).flatMap((service) => service.volumes ?? []);
  const named = mounted
    .map((volume) => volume.split(':')[0]!)
    .filter((name) => /^[a-z]/.test(name));
  expect(new Set(named)).toEqual(new Set(Object.keys(volumes)));
});

test('Prometheus reads the admin port of each service that is there', () => {
  const { scrape_configs } = yaml(at('deploy/prometheus/prometheus.yml')) as {
    scrape_configs: {
      static_configs?: { targets: string[] }[];
      dns_sd_configs?: { names: string[]; port: number }[];
    }[];
  };
  const targets = scrape_configs.flatMap(({ static_configs = [], dns_sd_configs = [] }) => [
    ...static_configs.flatMap((each) => each.targets),
    ...dns_sd_configs.flatMap(({ names, port }) => names.map((name) => `${name}:${String(port)}`)),
  ]);
  const expected = own.map(([name, each]) => `${name}:${portOf(configOf(each).admin.listen)}`);
  expect(targets.sort()).toEqual(expected.sort());
});

test('deploy/hosters.mjs makes hosters like hoster2, each with a name, a key and a volume of its own', () => {
  moreHosters('5');
  const made = yaml(path.join(folder, 'docker-compose.override.yml')) as Compose;
  const names = ['hoster3', 'hoster4', 'hoster5'];
  expect(Object.keys(made.services)).toEqual(['keys', ...names]);
  for (const name of names) {
    const { ports, ...rest } = made.services[name]!;
    const {
      ports: model,
      build: _,
      ...second
    } = services.hoster2! as Service & { build?: unknown };
    const renamed: unknown = JSON.parse(JSON.stringify(second).replaceAll('hoster2', name));
    expect(rest).toEqual(renamed);
    expect(configOf(made.services[name]!).listen).toBe('0.0.0.0:50051');
    for (const port of ports!) expect(model).not.toContain(port);
    expect(made.services.keys!.volumes).toContain(`keys-${name}:/keys/${name}`);
    expect(Object.keys(made.volumes)).toContain(`keys-${name}`);
  }
  const { HOSTERS } = made.services.keys!.environment!;
  expect(HOSTERS).toBe(`${services.keys!.environment!.HOSTERS} ${names.join(' ')}`);
  expect(yaml(path.join(folder, 'deploy/prometheus/hosters/more.yml'))).toEqual([
    { targets: names.map((name) => `${name}:8051`) },
  ]);

  moreHosters('2');
  expect(existsSync(path.join(folder, 'docker-compose.override.yml'))).toBe(false);
  expect(() => moreHosters('1')).toThrow(/got "1", expected how many, 2 to 32/);
});
