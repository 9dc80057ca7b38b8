// The webgpu execution provider, for real: models that list it first are served by it where it
// computes what the golden data says, and by the next provider where it does not.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';

const require = createRequire(import.meta.url);
const { BUNDLED_MODELS, Subnet, TEST_MODELS } = require('@cabstand/testing');
const { RemoteManager, SessionManager } = require('@cabstand/client');

/** What each model must be served by. Silero VAD comes out wrong on it and must be refused. */
const MODELS = [
  { from: TEST_MODELS, name: 'accumulator', expected: 'webgpu', input: { signal: 16 } },
  { from: BUNDLED_MODELS, name: 'g2p', expected: 'webgpu', prompt: 'taxi', text: 'T AE1 K S IY0' },
  { from: BUNDLED_MODELS, name: 'silero-vad', expected: 'cpu', input: { audio: 1024 } },
];

const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-webgpu-'));
let passed = 0;
let failed = 0;
const check = (what, ok, detail) => {
  if (ok) passed++;
  else failed++;
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${what}${detail === undefined ? '' : `: ${detail}`}`);
};

for (const { from, name } of MODELS) {
  cpSync(path.join(from, name), path.join(folder, name), { recursive: true });
  const file = path.join(folder, name, 'model.yaml');
  const manifest = readFileSync(file, 'utf8').replace(/^providers:.*\n/m, '');
  writeFileSync(file, `${manifest}providers: [webgpu, cpu]\n`);
}

/** A hoster may serve before its last model is loaded: what it says once none loads any more. */
async function loaded(ask) {
  for (const end = Date.now() + 300_000; ;) {
    const info = await ask();
    const loading = MODELS.filter(
      ({ name }) =>
        !['ready', 'failed'].includes(info.models.find((one) => one.name === name)?.state),
    );
    if (loading.length === 0) return info;
    if (Date.now() > end)
      throw new Error(`still loading: ${loading.map(({ name }) => name).join(', ')}`);
    await setTimeout(500);
  }
}

const subnet = await Subnet.start({ hosters: 1, models: folder, readyMs: 300_000 });
try {
  const authorizer = subnet.authorizer();
  const remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  const sessions = new SessionManager(remote);
  const info = await loaded(() => remote.info(subnet.hosters[0].address));
  for (const { name, expected, prompt, input, text } of MODELS) {
    const model = info.models.find((one) => one.name === name);
    check(`${name} is served by ${expected}`, model?.provider === expected, model?.provider);
    const tensors = Object.fromEntries(
      Object.entries(input ?? {}).map(([key, length]) => [key, new Float32Array(length)]),
    );
    const session = sessions.session({ model: name });
    let spoken = '';
    let records = 0;
    for await (const chunk of session.runProtocolTask(prompt, tensors)) {
      spoken += chunk.text;
      records++;
    }
    await session.close();
    check(
      `${name} streams`,
      records > 0 && (text === undefined || spoken === text),
      `${records} records ${spoken}`,
    );
  }
  await sessions.close();
  await remote.close();
} finally {
  await subnet.stop();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
