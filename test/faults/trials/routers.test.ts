/** A router with a wrong clock, and without room on its disk, as docs/operations/faults.md has it, while there is no other. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { RouterService, RpcClient } from '@cabstand/rpc';
import { scrape, total } from '@cabstand/testing';
import type { Service, ServiceChanges } from '@cabstand/testing';
import { SmallDisk } from '../../support/small-disk';
import { online } from '../asking';
import { TestNode } from '../node';
import { ended } from '../operations/command';
import { eventually, unharmed } from '../operations/load';
import { BLOCK, CONNECT_MS, OFF_MS, TRIAL_MS, Trial, clockOff } from './trial';

let trial: Trial;

beforeAll(async () => {
  trial = await Trial.start(2);
}, TRIAL_MS);

afterEach(() => trial.unload(), TRIAL_MS);

afterAll(() => trial[Symbol.asyncDispose](), TRIAL_MS);
const hoster = (): Service => trial.subnet.hosters[0]!;

/** The first router leaves and comes back changed; `act` has no other one. It stays as it is, the other comes back. */
async function withRouter(
  changes: ServiceChanges,
  act: (router: TestNode) => Promise<void>,
): Promise<void> {
  const [router, other] = [0, 1].map((i) => new TestNode(trial.subnet, 'router', i)) as [
    TestNode,
    TestNode,
  ];
  await unharmed(trial.callers, async () => {
    expect(await router.leave()).toBe(true);
    await router.startAgain(0, undefined, changes);
    await online(trial.subnet);
  });
  try {
    await unharmed(trial.callers, async () => expect(await other.leave()).toBe(true));
    await act(router);
  } finally {
    await unharmed(trial.callers, async () => {
      await other.startAgain();
      await online(trial.subnet);
    });
  }
}

test.each([OFF_MS, -OFF_MS])(
  'a router whose clock is %d ms off hands hosters out, and hosters and doctor say by how much',
  async (shift) => {
    const { admin, child } = hoster();
    const offset = async (): Promise<number> =>
      total(await scrape(admin), 'cabstand_clock_offset_seconds') * 1000;
    await withRouter({ env: clockOff(shift, 'router') }, async ({ address, output }) => {
      // Two that differ cannot know which of them is right.
      expect(output).toContain('the clock of a hoster is off');
      await unharmed(trial.callers, () =>
        eventually('the offset', async () =>
          Math.abs((await offset()) - shift) < 10_000 ? true : undefined,
        ),
      );
      const named = child.output
        .split('\n')
        .filter((line) => line.includes('the clock of a router is off'));
      expect(JSON.parse(named.at(-1) ?? '{}')).toMatchObject({ router: address });
      const { code, output: said } = await ended(trial.subnet, 'doctor', '--json');
      expect(code).toBe(1);
      const clock = said.split('\n').find((line) => line.includes(`"clock ${address}"`)) ?? '{}';
      expect(JSON.parse(clock)).toMatchObject({ status: 'fail' });
    });
  },
  TRIAL_MS,
);

test(
  'a router without room for its audit log hands hosters out, and lines that are lost are counted',
  async () => {
    using disk = new SmallDisk(4, 64);
    expect(disk.mounted).toBe(true);
    const file = path.join(disk.folder, 'audit.log');
    await withRouter(
      { under: disk.on([]), settings: { audit: { file } } },
      async ({ pid, address }) => {
        const audited = (): string => readFileSync(`/proc/${String(pid)}/root${file}`, 'utf8');
        const admin = new RpcClient(address, {
          authorizer: trial.subnet.authorizer('admin'),
          connectTimeoutMs: CONNECT_MS,
        });
        // A drain that there is none of is taken back, and that is written down.
        const write = (): Promise<unknown> =>
          admin.unary(RouterService.rpc_drain, { node_id: hoster().address, undo: true });
        try {
          await write();
          const filled = disk.fill(pid);
          await unharmed(trial.callers, () =>
            eventually('the audit log to be full', async () => {
              await write();
              return (audited() !== '' && audited().length % BLOCK === 0) || undefined;
            }),
          );
          const before = audited().length;
          await unharmed(trial.callers, write);
          expect(audited().length).toBe(before);
          filled.free();
          await unharmed(trial.callers, () =>
            eventually('the audit log to go on', async () => {
              await write();
              return audited().length > before || undefined;
            }),
          );
        } finally {
          admin.close();
        }
        const [, lost = '{}'] = /^(\{.*log lines could not be written.*\})$/m.exec(audited()) ?? [];
        expect(JSON.parse(lost)).toMatchObject({ lines: expect.any(Number) as number });
        expect(audited()).toContain('node_undrained');
      },
    );
  },
  TRIAL_MS,
);
