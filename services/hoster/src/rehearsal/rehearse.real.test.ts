/** Moves of sessions between real engines of one process, before it serves anybody. */
import { authConfigSchema, createSealer } from '@cabstand/auth';
import type { Sealer } from '@cabstand/auth';
import { CabstandError } from '@cabstand/core';
import type { ModelHost } from '../engines/contract';
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
const sealer = createSealer(authConfigSchema.parse({}));

beforeAll(async () => {
  host = await openModelHost({ repositories: [BUNDLED] });
  await host.settled();
}, 60_000);
beforeEach(() => (warnings.length = 0));
afterEach(() => expect(host.models().map((model) => model.openSequences)).toEqual([0, 0, 0]));
afterAll(() => host.stop());

test('sessions of every kind of model are moved in the middle of a turn, and nothing stays', async () => {
  let moved = 0;
  const counting: Sealer = { ...bound(sealer), open: (...args) => (moved++, sealer.open(...args)) };
  await rehearse({ host, sealer: counting, log, signal: new AbortController().signal });
  expect(warnings).toEqual([]);
  expect(moved).toBeGreaterThanOrEqual(2);
  expect(host.models().map((model) => model.stepSeconds)).toEqual([0, 0, 0]);
});

test('a hoster that cannot take up a session says so, by model', async () => {
  const broken: Sealer = {
    ...bound(sealer),
    open: () => {
      throw new CabstandError('CHECKPOINT_INVALID', 'not one of mine');
    },
  };
  await rehearse({ host, sealer: broken, log, signal: new AbortController().signal });
  expect(warnings.map(({ fields }) => fields['model'])).toContain('silero-vad');
  for (const { fields, text } of warnings) {
    expect(text).toContain('did not go on');
    expect(fields['err']).toMatchObject({ reason: 'CHECKPOINT_INVALID' });
  }
});

test('a hoster that is to stop does not go on rehearsing', async () => {
  const stopping = new AbortController();
  stopping.abort(new CabstandError('CANCELLED', 'SIGTERM'));
  await rehearse({ host, sealer, log, signal: stopping.signal });
  expect(warnings).toEqual([]);
});

function bound(of: Sealer): Sealer {
  return { seal: (...args) => of.seal(...args), open: (...args) => of.open(...args) };
}
