/**
 * docs/operations/install.md, "Two machines by copy and paste": its commands, in two folders that stand for the
 * machines 127.0.0.1 and 127.0.0.2. Only ports and addresses differ, and `npx`, `ssh` and `scp` are
 * stand-ins that stay on this machine.
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY_ROOT, freePorts, until } from '@cabstand/testing';

const run = promisify(execFile);
const A = '127.0.0.1';
const B = '127.0.0.2';
const page = readFileSync(path.join(REPOSITORY_ROOT, 'docs/operations/install.md'), 'utf8');
const [, section = ''] = /^## Two machines by copy and paste$([^]*?)^## /m.exec(page) ?? [];
const [settings, install, prepare, router, hosterA, hosterB, check] = [
  ...section.matchAll(/```sh\n([^]*?)```/g),
].map(([, block = '']) => block);

const root = mkdtempSync(path.join(tmpdir(), 'cabstand-machines-'));
const home = (machine: string): string => path.join(root, machine, 'cabstand');
const running: { readonly child: ChildProcess; output: string }[] = [];
let ports: ReadonlyMap<string, string>;

const STAND_INS = {
  npx: 'shift; exec "$NODE" "$CLI" "$@"',
  ssh: 'cd "$ROOT/$1"; shift; exec sh -c "$*"',
  scp: 'shift; for to; do :; done; while [ $# -gt 1 ]; do cp -p "$1" "$ROOT/${to%%:*}/${to#*:}"; shift; done',
};

beforeAll(async () => {
  const free = await freePorts(4);
  ports = new Map(['50050', '50051', '8050', '8051'].map((port, i) => [port, String(free[i])]));
  const bin = path.join(root, 'bin');
  mkdirSync(bin);
  for (const [name, text] of Object.entries(STAND_INS)) {
    writeFileSync(path.join(bin, name), `#!/bin/sh\nset -e\n${text}\n`);
    chmodSync(path.join(bin, name), 0o755);
  }
  for (const machine of [A, B]) clone(machine);
});

afterAll(async () => {
  await Promise.all(
    running.map(async ({ child }) => {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill('SIGTERM')) await exited;
    }),
  );
  rmSync(root, { recursive: true, force: true });
});

/** What the commands need of a clone, with ports that are free and addresses that are the machine's own. */
function clone(machine: string): void {
  const folder = path.join(home(machine), 'deploy/config');
  mkdirSync(folder, { recursive: true });
  symlinkSync(path.join(REPOSITORY_ROOT, 'models'), path.join(home(machine), 'models'));
  const from = path.join(REPOSITORY_ROOT, 'deploy/config');
  for (const name of readdirSync(from)) {
    const text = readFileSync(path.join(from, name), 'utf8');
    const own = text.replaceAll(/^( *listen: )\d[\d.]*:/gm, `$1${machine}:`);
    writeFileSync(path.join(folder, name), withPorts(own));
  }
}

function withPorts(text: string): string {
  return text.replaceAll(/:(\d{4,5})\b/g, (whole, port: string) => {
    const free = ports.get(port);
    return free === undefined ? whole : `:${free}`;
  });
}

/** The block as a script, with what the first one sets in each terminal. */
function script(block: string): string {
  const set = (settings ?? '').replace(/^A=.*$/m, `A=${A}`).replace(/^B=.*$/m, `B=${B}`);
  return `set -e\n${set}${withPorts(block)}`;
}

function where(machine: string): { readonly cwd: string; readonly env: NodeJS.ProcessEnv } {
  return {
    cwd: home(machine),
    env: {
      ...process.env,
      PATH: `${path.join(root, 'bin')}:${process.env['PATH'] ?? ''}`,
      NODE: process.execPath,
      CLI: path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js'),
      ROOT: root,
      // One model, and no process in reserve, are enough here.
      CABSTAND_ONLY: 'g2p',
      CABSTAND_ENGINES_SPARES: '0',
    },
  };
}

async function paste(machine: string, block = ''): Promise<string> {
  const { stdout } = await run('bash', ['-c', script(block)], where(machine));
  return stdout;
}

/** A block whose last command stays. */
function start(machine: string, block = ''): void {
  const child = spawn('bash', ['-c', script(block.replace(/^(?=npx .*\n$)/m, 'exec '))], {
    ...where(machine),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const one = { child, output: '' };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => (one.output += text.toString()));
  running.push(one);
}

test('a router and two hosters with keys and TLS, seen and called from both machines', async () => {
  expect(install).toContain('npm run build');
  await paste(A, prepare);
  start(A, router);
  start(A, hosterA);
  start(B, hosterB);
  await until(
    'both hosters at the router',
    () =>
      running.slice(1).every(({ output }) => output.includes('registered with router')) ||
      undefined,
    { timeoutMs: 30_000, explain: () => running.map(({ output }) => output).join('\n') },
  );
  for (const told of await Promise.all([A, B].map((machine) => paste(machine, check)))) {
    expect(told).toMatch(new RegExp(`hoster-a +ONLINE +${withPorts(`${A}:50051`)} +g2p`));
    expect(told).toMatch(new RegExp(`hoster-b +ONLINE +${withPorts(`${B}:50051`)} +g2p`));
    expect(told).toContain('T AE1 K S IY0');
  }
  // Nothing between the lines of the log, as of Node about TLS with addresses.
  for (const { output } of running)
    for (const line of output.trimEnd().split('\n')) expect(line).toMatch(/^\{.*\}$/);
}, 60_000);

test('the pair says what each of its keys is', () => {
  for (const name of ['router.yaml', 'hoster.yaml']) {
    const lines = readFileSync(path.join(REPOSITORY_ROOT, 'deploy/config', name), 'utf8').split(
      '\n',
    );
    const keys = lines.flatMap((line, i) => (/^ *\w+: \S/.test(line) ? [i] : []));
    expect(keys.length).toBeGreaterThan(8);
    // Certificate and private key share a comment.
    for (const i of keys)
      expect(lines.slice(Math.max(0, i - 2), i).some((line) => /^ *# /.test(line))).toBe(true);
  }
});
