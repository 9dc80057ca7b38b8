/** Modules that cannot be loaded, beside one that can. Real processes. */
import { HosterService } from '@cabstand/rpc';
import { until } from '@cabstand/testing';
import { ride } from '../support/module-models';
import { ModuleSubnet } from '../support/module-subnet';
import { RawClient, within } from '../support/raw';
import { Ride } from '../support/ride';

const LOAD_SECONDS = 2;
const manifest = { outputs: { y: { dtype: 'float32', shape: [1] } } };
const loading = (load: string): string => `
  export default class {
    static async load(env) { ${load}; return new this(); }
    newState() { return {}; }
    async startSession() {}
  }`;

test('load throws, load hangs, a syntax error, nothing exported: other models serve', async () => {
  const models = {
    ride: ride('replay'),
    throws: {
      program: { source: loading("throw new Error('no weights at ' + env.folder)") },
      manifest,
    },
    hangs: { program: { source: loading('for (;;);') }, manifest },
    waits: { program: { source: loading('await new Promise(() => {})') }, manifest },
    garbled: { program: { source: 'export default class {\n  static load( {\n' }, manifest },
    empty: { program: { source: 'export const nothing = 1;' }, manifest },
  };
  await using served = await ModuleSubnet.start(models, {
    hosterConfig: { engines: { spares: 0, load_timeout_seconds: LOAD_SECONDS } },
  });
  using raw = new RawClient(served.subnet);
  const info = async () => (await raw.hoster.unary(HosterService.rpc_info, {}, within)).models;
  const failures = await until('all to be loaded, or not', async () => {
    const all = await info();
    const map = new Map(all.map(({ offer, failure }) => [offer?.name ?? '', failure]));
    return [...map.values()].filter((failure) => failure !== '').length === 5 ? map : undefined;
  });
  expect(failures.get('ride')).toBe('');
  expect(failures.get('throws')).toContain('no weights at');
  expect(failures.get('garbled')).toMatch(/index\.ts:\d+/);
  expect(failures.get('empty')).toMatch(/default/);
  for (const name of ['hangs', 'waits']) expect(failures.get(name)).toMatch(/\b2000 ms\b/);
  for (const failure of failures.values()) expect(failure).not.toContain(served.models);
  const one = new Ride(served.client.session('ride'), { frames: 3 });
  expect(await one.read()).toMatchObject({ reason: 'completed' });
}, 60_000);
