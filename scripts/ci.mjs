// The steps of .ci/run, one after another, but for those that only read: they run beside the others. All are run even
// if one fails.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const scratch = mkdtempSync(path.join(tmpdir(), 'cabstand-ci-'));
const totals = { passed: 0, failed: 0, skipped: 0 };
/** What could not be asked: neither passed nor failed, and said again at the end. */
const unknown = [];

function exitOf(program, args, env = {}) {
  return spawnSync(program, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  }).status;
}

const run = (program, args, env) => exitOf(program, args, env) === 0;

/** Licences, a list of what runs, and what the registry knows, where it can be asked. */
function supplyChain() {
  const list = spawnSync('npm', ['run', '--silent', 'sbom'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  const components = list.status === 0 ? JSON.parse(list.stdout).components.length : 0;
  console.log(`SBOM: ${components} components`);
  const audit = exitOf(process.execPath, ['scripts/audit.mjs']);
  if (audit === 3) unknown.push('the registry did not answer about packages: see "supply chain"');
  return npm('licences') && components > 0 && (audit === 0 || audit === 3);
}

/** What the last release promised to clients, where there is one. */
function contract() {
  const code = exitOf(process.execPath, ['scripts/contract.mjs']);
  if (code === 3) unknown.push('the contract has no release to be compared with: see "contract"');
  return code === 0 || code === 3;
}

/** A script that ends with 3 where all that it could ask was well, and something was not to be had. */
function partly(script, problem) {
  const code = exitOf('bash', [script]);
  if (code === 3) unknown.push(problem);
  return code === 0 || code === 3;
}

const NO_STUBS = 'stubs for Java were not made: there is no javac, or no Maven';
const NO_PROGRAMS = 'not all programs of docs/languages.md were run: see "languages"';
const NO_INTEROP = "gRPC's interop cases were not run from Java: there is no javac, or no Maven";

const npm = (...args) => run('npm', ['run', '--silent', ...args]);

/** Runs jest suites through a script of package.json and counts each test. */
function tests(script) {
  const report = path.join(scratch, 'jest.json');
  rmSync(report, { force: true });
  const ok = npm(script, '--', '--json', `--outputFile=${report}`, '--ci');
  if (!existsSync(report)) return ok;
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  totals.passed += numPassedTests;
  totals.failed += numFailedTests;
  totals.skipped += numPendingTests + numTodoTests;
  return ok;
}

const steps = [
  ['install', () => run(process.execPath, ['scripts/run.mjs', 'install'])],
  ['build', () => npm('build')],
  ['lint', () => npm('lint')],
  ['types', () => npm('typecheck')],
  ['contract', contract],
  ['supply chain', supplyChain],
  ['charts', () => run('bash', ['test/charts/run.sh'])],
  ['npm test', () => tests('test')],
  ['failures', () => tests('test:failover')],
  ['trials', () => tests('test:trials')],
  ['random faults', () => npm('test:faults', '--', '--faults', '25')],
  // The same stories each time, and others each time: the seed of these is printed.
  ['fuzzing', () => npm('test:fuzz', '--', '--seed', '1', '--calls', '14000', '--minutes', '2')],
  ['random fuzzing', () => npm('test:fuzz', '--', '--calls', '8000', '--minutes', '2')],
  ['python client', () => run('bash', ['test/interop/run.sh'])],
  ['stubs', () => partly('test/stubs/run.sh', NO_STUBS)],
  ['languages', () => partly('test/languages/run.sh', NO_PROGRAMS)],
  ['grpc interop', () => partly('test/interop-grpc/run.sh', NO_INTEROP)],
  ['python package', () => run('bash', ['clients/python/check.sh'])],
  ['tritonclient', () => run('bash', ['test/interop/tritonclient/run.sh'])],
  ['openai client', () => run('bash', ['test/interop/openai/run.sh'])],
  ['go client', () => run('bash', ['test/go/run.sh'])],
  ['packages', () => run(process.execPath, ['test/packages/check.mjs'])],
  ['browser', () => run('bash', ['test/browser/run.sh'])],
  ['node tests', () => run('bash', ['test/node-tests/run.sh'])],
  ['webgpu provider', () => run('bash', ['test/webgpu/run.sh'])],
  ['containers', () => run('bash', ['test/containers/run.sh'])],
];

/** They only read what was built: they run while the tests do, with what these leave of the processors. */
const BESIDE = ['lint', 'types', 'contract', 'supply chain', 'charts'];

/** Runs these steps in a process of their own; what they say is said once they have ended. */
function startBeside() {
  const file = path.join(scratch, 'beside.log');
  const output = openSync(file, 'w');
  const child = spawn('nice', ['-n', '19', process.execPath, process.argv[1], ...BESIDE], {
    cwd: root,
    stdio: ['ignore', output, output],
  });
  const exited = once(child, 'exit');
  return async () => {
    await exited;
    const text = readFileSync(file, 'utf8').trimEnd();
    console.log(text.replace(/\n.*$/, '\n'));
    const [, passed, failed] = /(\d+) passed, (\d+) failed$/.exec(text) ?? [];
    totals.passed += Number(passed ?? 0);
    // Without its last line none of them is known to have passed.
    totals.failed += Number(failed ?? BESIDE.length);
  };
}

const only = process.argv.slice(2);
let beside;
for (const [name, step] of steps) {
  if (only.length > 0 ? !only.includes(name) : BESIDE.includes(name)) continue;
  // Nothing is built any more.
  if (only.length === 0 && name === 'npm test') beside = startBeside();
  console.log(`\n=== ${name}`);
  const start = Date.now();
  const ok = step();
  totals[ok ? 'passed' : 'failed']++;
  console.log(
    `=== ${name}: ${ok ? 'ok' : 'FAILED'} (${Math.round((Date.now() - start) / 1000)} s)`,
  );
  if (!ok && name === 'install') break;
}
await beside?.();
rmSync(scratch, { recursive: true, force: true });
for (const line of unknown) console.log(`NOT KNOWN: ${line}`);
if (totals.skipped > 0) console.log(`${totals.skipped} tests were skipped: that is a failure`);
console.log(`${totals.passed} passed, ${totals.failed + totals.skipped} failed`);
process.exit(totals.failed + totals.skipped === 0 ? 0 : 1);
