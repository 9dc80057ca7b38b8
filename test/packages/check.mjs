// The packages as their users get them: packs all, lints the packs, installs them into an empty project outside
// the repository, starts a subnet there with the installed command, and streams from it as CommonJS, as an ES module
// and as TypeScript. Needs a build and the npm registry. Prints "N passed, N failed".
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { packAll } from '../../scripts/pack.mjs';
import { clientAlone } from './alone.mjs';
import { lint } from './lint.mjs';

const require = createRequire(import.meta.url);
const { freePortRange } = require('@cabstand/testing');
const { version: typescript } = require('typescript/package.json');
const project = mkdtempSync(path.join(tmpdir(), 'cabstand-packages-'));
const WORD = 'T AE1 K S IY0';
let failed = 0;
let passed = 0;

function check(name, problem) {
  if (problem === undefined) passed++;
  else failed++;
  console.log(problem === undefined ? `ok   ${name}` : `FAIL ${name}: ${problem}`);
}

/** What a command of the project printed; throws where it failed. */
const run = (command, ...args) => runIn(project, command, ...args);

function runIn(cwd, command, ...args) {
  const done = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 300_000,
    // Nothing of the repository may help.
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
  });
  if (done.status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  return done.stdout;
}

function tried(name, act) {
  try {
    check(name, act());
  } catch (error) {
    check(name, error instanceof Error ? error.message : String(error));
  }
}

/** Starts the subnet; resolves with its process once it serves. */
function up(port, admin) {
  const child = spawn(
    'npx',
    ['--no-install', 'cabstand', 'up', '--port', String(port), '--admin-port', String(admin)],
    { cwd: project, env: { PATH: process.env.PATH, HOME: process.env.HOME }, detached: true },
  );
  return new Promise((resolve, reject) => {
    let output = '';
    const timer = setTimeout(() => reject(new Error(`no subnet within 120 s: ${output}`)), 120_000);
    const onData = (data) => {
      output += data;
      if (!output.includes('Ctrl-C drains')) return;
      clearTimeout(timer);
      resolve(child);
    };
    child.stdout.on('data', onData);
    child.stderr.on('data', onData);
    child.once('exit', (code) => reject(new Error(`up ended with ${code}: ${output}`)));
  });
}

const body = (router) => `
const subnet = connect({
  routers: '${router}',
  auth: keyFile('.cabstand/keys/client.key.json', { servers: '.cabstand/keys/keys.json' }),
});
const session = subnet.session({ model: 'g2p' });
const texts = [];
for await (const chunk of session.runProtocolTask('taxi')) texts.push(chunk.text);
await session.close();
await subnet.close();
console.log(texts.join(''));
`;

/** A test of a user's program, as the testing package has it: no network, no model. */
const MOCKED = `
const { MockProtocol } = require('@cabstand/testing');
if (typeof MockProtocol !== 'function') throw new Error('no MockProtocol');
console.log('mocked');
`;

async function streams(router) {
  const names = `{ connect, keyFile } `;
  writeFileSync(
    path.join(project, 'common.cjs'),
    `const ${names} = require('@cabstand/client');\n(async () => {${body(router)}})();\n`,
  );
  const imports = `import ${names} from '@cabstand/client';\n`;
  writeFileSync(path.join(project, 'module.mjs'), imports + body(router));
  writeFileSync(
    path.join(project, 'typed.mts'),
    `${imports}${body(router).replace('texts = []', 'texts: string[] = []')}`,
  );
  writeFileSync(path.join(project, 'mocked.cjs'), MOCKED);
  const said = (text) => (text.trim() === WORD ? undefined : `it printed ${text}`);
  tried('streams as CommonJS', () => said(run('node', 'common.cjs')));
  tried('streams as an ES module', () => said(run('node', 'module.mjs')));
  const compile = (...how) =>
    run('npx', '--no-install', 'tsc', '--strict', '--skipLibCheck', 'false', ...how, 'typed.mts');
  tried('compiles as Node resolves, and streams', () => {
    compile('--module', 'nodenext', '--target', 'es2022', '--types', 'node');
    return said(run('node', 'typed.mjs'));
  });
  tried('compiles as bundlers resolve', () => {
    const bundler = ['--module', 'esnext', '--moduleResolution', 'bundler'];
    compile(...bundler, '--target', 'es2022', '--types', 'node', '--noEmit');
  });
  tried('the testing package loads', () =>
    run('node', 'mocked.cjs').trim() === 'mocked' ? undefined : 'it did not',
  );
}

try {
  const packs = packAll(path.join(project, 'packs'));
  for (const { name, file } of packs)
    check(`publint and attw find nothing in ${name}`, await lint(file));
  tried('the client alone brings what it needs, and loads', () =>
    clientAlone(path.join(project, 'alone'), packs, runIn),
  );
  const dependencies = Object.fromEntries(packs.map(({ name, file }) => [name, `file:${file}`]));
  Object.assign(dependencies, { typescript, '@types/node': '20' });
  writeFileSync(
    path.join(project, 'package.json'),
    JSON.stringify({ name: 'trial', private: true, dependencies }, null, 2),
  );
  tried(
    `installs ${packs.length} packs`,
    () => void run('npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund'),
  );
  tried('every pack has its licence and says what changed', () => {
    const bad = packs.filter(({ name }) => {
      const files = readdirSync(path.join(project, 'node_modules', name));
      return !files.includes('LICENSE') || !files.includes('CHANGELOG.md');
    });
    return bad.length === 0 ? undefined : bad.map(({ name }) => name).join(', ');
  });
  tried('the contract is inside', () => {
    const proto = 'node_modules/@cabstand/rpc/proto/cabstand/v1/hoster.proto';
    return readFileSync(path.join(project, proto), 'utf8').includes('rpc_inference_stream')
      ? undefined
      : 'no method in it';
  });
  // Of the router, two hosters and the gateway.
  const port = await freePortRange(4);
  const subnet = await up(port, await freePortRange(4));
  try {
    check('npx cabstand up serves');
    await streams(`127.0.0.1:${port}`);
  } finally {
    const ended = new Promise((resolve) => subnet.once('exit', resolve));
    process.kill(-subnet.pid, 'SIGINT');
    await ended;
  }
} catch (error) {
  check(
    'the subnet of the installed command',
    error instanceof Error ? error.message : String(error),
  );
} finally {
  rmSync(project, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
