/** Moves of sessions between real engines of one process, before it serves anybody. */
import { authConfigSchema, createSealer } from '@cabstand/auth-admin';
import type { Sealer } from '@cabstand/auth';
import { CabstandError } from '@cabstand/core';
import type { ModelHost } from '../models/model-host';
import { BUNDLED } from '../handlers/harness.fixture';
import { openModelHost } from '../models/host';
import { rehearse } from './rehearse';

let host: ModelHost;
const warnings: { fields: Record<string, unknown>; text: string }[] = [];
const log = {
  debug: () => undefined,
  info: () => undefined,
  error: () => undefined,
  warn: (fields: Record<string, unknown>, text: string) => void warnings.push({ fields, text }),
};
const messageBytes = 16 * 1024 * 1024;
const sealer = createSealer(authConfigSchema.parse({}));

beforeAll(async () => {
  host = await openModelHost({ repositories: [BUNDLED] });
  await host.settled();
}, 60_000);
beforeEach(() => (warnings.length = 0));
afterEach(() => {
  const open = host.models().filter((model) => model.openSequences > 0);
  expect(open.map(({ name }) => name)).toEqual([]);
});
afterAll(() => host.stop());

test('sessions of all models but modules are moved in the middle of a turn, and nothing stays', async () => {
  let moved = 0;
  const counting: Sealer = { ...bound(sealer), open: (...args) => (moved++, sealer.open(...args)) };
  await rehearse({
    host,
    messageBytes,
    sealer: counting,
    log,
    signal: new AbortController().signal,
  });
  expect(warnings).toEqual([]);
  expect(moved).toBeGreaterThanOrEqual(2);
  const slow = host.models().filter((model) => model.stepSeconds > 0);
  expect(slow.map(({ name }) => name)).toEqual([]);
});

test('a hoster that cannot take up a session says so, by model', async () => {
  const broken: Sealer = {
    ...bound(sealer),
    open: () => {
      throw new CabstandError('CHECKPOINT_INVALID', 'not one of mine');
    },
  };
  await rehearse({ host, messageBytes, sealer: broken, log, signal: new AbortController().signal });
  expect(warnings.map(({ fields }) => fields['model'])).toContain('silero-vad');
  for (const { fields, text } of warnings) {
    expect(text).toContain('did not go on');
    expect(fields['err']).toMatchObject({ reason: 'CHECKPOINT_INVALID' });
  }
});

test('a hoster that is to stop does not go on rehearsing', async () => {
  const stopping = new AbortController();
  stopping.abort(new CabstandError('CANCELLED', 'SIGTERM'));
  await rehearse({ host, messageBytes, sealer, log, signal: stopping.signal });
  expect(warnings).toEqual([]);
});

function bound(of: Sealer): Sealer {
  return { seal: (...args) => of.seal(...args), open: (...args) => of.open(...args) };
}
