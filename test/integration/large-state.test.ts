/** A model whose state is too large for messages is refused when it is loaded; see also test/faults. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { HosterService } from '@cabstand/rpc';
import { Subnet } from '@cabstand/testing';
import { TestClient } from '../support/client';
import { MIB, addLargeModel, sums } from '../support/large-state';
import { RawClient, within } from '../support/raw';

const repository = mkdtempSync(path.join(tmpdir(), 'large-state-'));
beforeAll(() => {
  for (const mib of [1, 24, 200]) addLargeModel(repository, mib);
});
afterAll(() => rmSync(repository, { recursive: true }));

test('a model whose checkpoints no message can hold is refused at load with the numbers', async () => {
  await using subnet = await Subnet.start({
    hosters: 1,
    models: repository,
    hosterConfig: { engines: { spares: 0 } },
  });
  using raw = new RawClient(subnet);
  const { models } = await raw.hoster.unary(HosterService.rpc_info, {}, within);
  const failures = new Map(models.map(({ offer, failure }) => [offer?.name, failure]));
  expect(failures.get('mib1')).toBe('');
  for (const mib of [24, 200]) {
    const failure = failures.get(`mib${mib}`) ?? '';
    expect(failure).toContain(`${mib * MIB} bytes of state`);
    expect(failure).toMatch(/rpc\.max_message_bytes .*16777216/);
    // What is asked for suffices, and is not much more.
    const asked = Number(/at least (\d+)/.exec(failure)?.[1]);
    expect(asked).toBeGreaterThan(mib * MIB);
    expect(asked).toBeLessThan((mib + 1) * MIB);
  }
  await using client = new TestClient(subnet);
  await using session = client.session('mib1');
  expect(await sums(session, 1, 2)).toEqual([1, 3].map((sum) => [sum, sum]));
  expect(await sums(session, 4)).toEqual([[7, 7]]);
  await using other = client.session('mib24');
  const routed = other.runProtocolTask(undefined, { samples: new Float32Array(1) });
  await expect(routed.next()).rejects.toMatchObject({
    reason: 'NO_NODE',
    metadata: { cause: 'model_failed' },
  });
  const refusal = await raw.refusal({ model: 'mib24' });
  expect(refusal).toMatchObject({ reason: 'MODEL_FAILED' });
  expect(refusal.message).toContain(`${24 * MIB} bytes of state`);
}, 60_000);
