/** The scripts that look at what the packages are: their licences, and what the registry says of them. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';

const root = mkdtempSync(path.join(tmpdir(), 'cabstand-supply-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly out: string;
}

interface Sbom {
  readonly bomFormat: string;
  readonly components: readonly { name: string; hashes?: readonly { alg: string }[] }[];
}

function script(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Ended {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(REPOSITORY_ROOT, 'scripts', name), ...args],
    { encoding: 'utf8', env: { ...process.env, ...env } },
  );
  return { status, out: `${stdout}${stderr}` };
}

describe('licences', () => {
  test('of all that runs are allowed, and each is listed', () => {
    const { status, out } = script('licences.mjs', []);
    expect(status).toBe(0);
    expect(out).toMatch(/^MIT\tonnxruntime-node@\d/m);
    expect(out).toMatch(/^Apache-2\.0\t@grpc\/grpc-js@\d/m);
    expect(out).toMatch(/^LGPL-3\.0-or-later\t@img\/sharp-libvips-/m);
    expect(out).not.toMatch(/\tjest@/);
    expect(Number(/^(\d+) packages, 0 with/m.exec(out)?.[1])).toBeGreaterThan(100);
  });

  const lock = (entry: object): string => {
    const folder = mkdtempSync(path.join(root, 'lock-'));
    const packages = { '': {}, 'node_modules/a': { version: '1.0.0', ...entry } };
    writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify({ packages }));
    return folder;
  };

  test.each([
    ['GPL-3.0-only', 1],
    ['LGPL-3.0-or-later', 1],
    ['MIT AND GPL-3.0-only', 1],
    ['(MIT OR GPL-3.0-only) AND SSPL-1.0', 1],
    [undefined, 1],
    ['SEE LICENSE IN LICENSE', 1],
    ['(MIT OR GPL-3.0-only)', 0],
    ['MIT AND ISC', 0],
  ])('%j ends with %d', (license, expected) => {
    const { status, out } = script('licences.mjs', [lock({ license })]);
    expect([status, out]).toEqual([expected, expect.stringContaining('\ta@1.0.0')]);
  });

  test('the package goes before the lock file, and what is for development only is left out', () => {
    const folder = lock({ license: 'MIT' });
    mkdirSync(path.join(folder, 'node_modules/a'), { recursive: true });
    writeFileSync(path.join(folder, 'node_modules/a/package.json'), '{"license":"SSPL-1.0"}');
    expect(script('licences.mjs', [folder])).toMatchObject({
      status: 1,
      out: expect.stringContaining('a@1.0.0: SSPL-1.0 is not allowed') as string,
    });
    expect(script('licences.mjs', [lock({ license: 'GPL-3.0-only', dev: true })]).out).toContain(
      '0 packages',
    );
  });
});

test('the list of what runs has what development uses too, and nothing else of that', () => {
  const { status, out } = script('sbom.mjs', []);
  expect(status).toBe(0);
  const list = JSON.parse(out) as Sbom;
  expect(list.bomFormat).toBe('CycloneDX');
  const names = list.components.map(({ name }) => name);
  for (const name of ['onnxruntime-node', '@grpc/grpc-js', 'zod', 'yaml', 'commander'])
    expect(names).toContain(name);
  for (const name of ['jest', 'typescript', 'eslint']) expect(names).not.toContain(name);
  for (const { hashes } of list.components) expect(hashes?.[0]?.alg).toBe('SHA-512');
});

describe('the registry', () => {
  /** An npm that says this of signatures, and finds nothing else. */
  const withNpm = (said: string, status: number): Ended => {
    const bin = mkdtempSync(path.join(root, 'bin-'));
    const npm = path.join(bin, 'npm');
    writeFileSync(
      npm,
      `#!/bin/sh\n[ "$2" = signatures ] || exit 0\ncat <<'END' >&2\n${said}\nEND\nexit ${status}\n`,
    );
    chmodSync(npm, 0o755);
    return script('audit.mjs', [], { PATH: `${bin}:${process.env['PATH'] ?? ''}` });
  };

  test.each([
    ['audited 500 packages', 0, 0, /^signatures of packages: ok/m],
    ['1 package has an invalid registry signature:', 1, 1, /^signatures of packages: FAILED\n1 p/m],
    [
      'npm error network request to https://example.org/1.json failed, reason: getaddrinfo ENOTFOUND example.org',
      1,
      3,
      /^signatures of packages: NOT REACHABLE, so nothing is known \(ENOTFOUND\)/m,
    ],
    ['npm error something new', 1, 1, /FAILED\nnpm error something new/],
  ])('%j is told for what it is', (said, status, expected, line) => {
    const ended = withNpm(said, status);
    expect(ended.status).toBe(expected);
    expect(ended.out).toMatch(line);
    expect(ended.out).toMatch(/^known vulnerabilities: ok/m);
  });
});

test('images are named by digest, and built from the lock file', () => {
  const read = (file: string): string => readFileSync(path.join(REPOSITORY_ROOT, file), 'utf8');
  const dockerfile = read('deploy/Dockerfile');
  expect(dockerfile).toMatch(/^ARG NODE_IMAGE=node:[\w.-]+@sha256:[0-9a-f]{64}$/m);
  expect([...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, from]) => from)).toEqual([
    '${NODE_IMAGE}',
    '${NODE_IMAGE}',
  ]);
  expect(dockerfile).not.toMatch(/npm install/);
  const images = [...read('docker-compose.yml').matchAll(/^ *image: (\S+)/gm)].map(([, it]) => it);
  expect(images).toEqual([
    'cabstand:local',
    'cabstand:gpu',
    expect.stringMatching(/^\$\{PROMETHEUS_IMAGE:-prom\/prometheus:[\w.]+@sha256:[0-9a-f]{64}\}$/),
    expect.stringMatching(/^\$\{GRAFANA_IMAGE:-grafana\/grafana:[\w.]+@sha256:[0-9a-f]{64}\}$/),
    expect.stringMatching(/^\$\{JAEGER_IMAGE:-jaegertracing\/jaeger:[\w.]+@sha256:[0-9a-f]{64}\}$/),
  ]);
  const gpu = read('deploy/Dockerfile.gpu');
  expect(gpu).toMatch(/^ARG PYTHON_IMAGE=python:[\w.-]+@sha256:[0-9a-f]{64}$/m);
  const engine = JSON.parse(read('libs/engine/package.json')) as {
    dependencies: Record<string, string>;
  };
  expect(/^ARG ORT=(\S+)$/m.exec(gpu)?.[1]).toBe(engine.dependencies['onnxruntime-node']);
});
