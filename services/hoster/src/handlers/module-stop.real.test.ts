/** How an engine with sessions of a module is stopped. Needs a build. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { HosterService } from '@cabstand/rpc';
import { openModelHost } from '../models/host';
import { Harness, hear, until } from './harness.fixture';

/** Takes its time to come to an end, within its grace, and says so. */
const SLOW = `
import { writeFileSync } from 'node:fs';
export default class Slow {
  static load(env) { return new Slow(env.config.left); }
  constructor(left) { this.left = left; }
  newState() { return {}; }
  async startSession(ctx) {
    await ctx.send('runs', {});
    while (await ctx.idle());
    await new Promise((resolve) => setTimeout(resolve, 600));
    writeFileSync(this.left, 'in order');
  }
}
`;

test('its code has its whole grace to come to an end, however short engines have', async () => {
  const root = mkdtempSync(path.join(tmpdir(), 'cabstand-stop-'));
  const left = path.join(root, 'left');
  mkdirSync(path.join(root, 'slow', '1'), { recursive: true });
  const manifest = { kind: 'module', outputs: { y: { dtype: 'float32', shape: [1] } } };
  const more = { config: { left }, limits: { stop_grace_seconds: 3 }, module: 'index.mjs' };
  writeFileSync(path.join(root, 'slow', 'model.yaml'), JSON.stringify({ ...manifest, ...more }));
  writeFileSync(path.join(root, 'slow', '1', 'index.mjs'), SLOW);
  const host = await openModelHost({ repositories: [root], engines: { stopMs: 200 } });
  await host.settled();
  const harness = await Harness.start(host);
  const reading = hear(
    harness.client().serverStream(HosterService.rpc_inference_stream, { model: 'slow' }),
  ).catch((error: unknown) => error);
  await until(() => host.models()[0]?.openSequences === 1);
  await host.stop();
  expect(existsSync(left)).toBe(true);
  await reading;
  await harness.stop();
  rmSync(root, { recursive: true });
}, 20_000);
