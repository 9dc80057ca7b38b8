// Runs a command of package.json on a machine that has nothing but Node: installs what is missing,
// builds what changed, then does it. Uses Node's own modules only.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const [command, ...rest] = process.argv.slice(2);

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Cabstand needs Node 20.19 or later; this is ${process.version}.`);
  process.exit(2);
}

// Ctrl-C reaches the whole group: the program that runs decides when it is done.
process.on('SIGINT', () => undefined);

/** Runs a program with the terminal's own input and output; ends with its exit code if it fails. */
function run(program, args, env = {}) {
  const result = spawnSync(program, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (result.error) {
    console.error(`${program}: ${result.error.message}`);
    process.exit(1);
  }
  const code = result.status ?? 128 + (result.signal === 'SIGINT' ? 2 : 15);
  if (code !== 0) process.exit(code);
}

const bin = (name) => path.join(root, 'node_modules', '.bin', name);

function install() {
  const stamp = path.join(root, 'node_modules', '.cabstand-lock');
  const lock = createHash('sha256')
    .update(readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.error('installing packages (once; about a minute) …');
  // What the lock file names and nothing else, each package with the hash that it has there.
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

function build() {
  run(process.execPath, [path.join(root, 'scripts', 'generate.mjs')]);
  if (!existsSync(path.join(root, 'libs', 'cli', 'dist', 'main.js')))
    console.error('building (once; about half a minute) …');
  run(process.execPath, [bin('tsc'), '-b']);
}

/** What runs a program of the project: its file, and what its own arguments come after. */
const PROGRAMS = {
  start: ['libs/cli/dist/main.js', 'up', '--demo'],
  bench: ['test/dist/bench/main.js'],
  'bench:failover': ['test/dist/bench/main.js', 'failover', 'stampede'],
  conformance: ['libs/testing/dist/conformance/main.js'],
  faults: ['test/dist/faults/main.js'],
  memory: ['test/dist/faults/memory.js'],
  'module-memory': ['test/dist/faults/module-memory.js'],
  fuzz: ['test/dist/fuzz/main.js'],
};

/** What runs jest: the environment that selects its suites. */
const SUITES = { test: {}, failover: { FAULTS: '1' }, trials: { FAULTS: 'trials' } };

install();
if (command !== 'install') {
  const [file, ...first] = PROGRAMS[command] ?? [];
  const suites = SUITES[command];
  if (file === undefined && suites === undefined && command !== 'build') {
    console.error(`unknown command ${String(command)}`);
    process.exit(2);
  }
  build();
  if (file !== undefined) run(process.execPath, [path.join(root, file), ...first, ...rest]);
  if (suites !== undefined) run(process.execPath, [bin('jest'), ...rest], suites);
}
