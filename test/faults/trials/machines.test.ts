/**
 * Machines that lose their disk, have no room on it, or a wrong clock, as docs/operations/faults.md has them: each is a
 * hoster beside one that is well, under load.
 */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { issueToken } from '@cabstand/auth-admin';
import { token } from '@cabstand/client';
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { Authorizer } from '@cabstand/rpc';
import { REPOSITORY_ROOT, Subnet, refusalOf, scrape, total } from '@cabstand/testing';
import type { Service, ServiceChanges } from '@cabstand/testing';
import { isAlive } from '../../support/processes';
import { SmallDisk } from '../../support/small-disk';
import { MODEL, online } from '../asking';
import { Callers } from '../callers';
import { TestNode } from '../node';
import { ended } from '../operations/command';
import { eventually, newCaller, openedAt, sessionsAt, unharmed } from '../operations/load';
import { operatedModels } from '../operations/models';

// All of them durable: others end with an engine that dies.
const CREW = { running: 4, opening: 4, riding: 2 };
const SHIFT_CLOCK = path.join(REPOSITORY_ROOT, 'test/support/shift-clock.cjs');
const OFF_MS = 600_000;
/** Of a file system in memory. */
const BLOCK = 4096;

let models: string;
let subnet: Subnet;
let callers: Callers;

beforeAll(async () => {
  models = operatedModels();
  subnet = await Subnet.start({
    ...{ models, routers: 1, hosters: 1, verifyServers: true, readyMs: 240_000 },
    hosterConfig: { engines: { restart_seconds: 0.1, spares: 0 } },
  });
}, 300_000);

beforeEach(() => {
  callers = new Callers(newCaller(subnet), CREW);
});

afterEach(async () => {
  await callers[Symbol.asyncDispose]();
  // What a test that failed has left.
  for (const { child } of subnet.hosters.splice(1)) await child.stop();
}, 240_000);

afterAll(async () => {
  await subnet.stop();
  rmSync(models, { recursive: true });
}, 240_000);

/** One more hoster, until sessions run on it. */
async function another(changes: ServiceChanges): Promise<TestNode> {
  const index = subnet.hosters.length;
  subnet.hosters.push(await subnet.startHoster(index, undefined, changes));
  const { admin, address } = service(index);
  await subnet.ready(service(index));
  await online(subnet);
  const seen = await unharmed(callers, () =>
    eventually(`sessions at ${address}`, async () => (await sessionsAt(admin)) > 1 || undefined),
  );
  expect(openedAt(seen, address)).toBeGreaterThan(0);
  return new TestNode(subnet, 'hoster', index);
}

const service = (index: number): Service => subnet.hosters[index]!;

/** It leaves in order, and its sessions go on elsewhere. */
async function without(hoster: TestNode): Promise<void> {
  await unharmed(callers, async () => {
    expect(await hoster.leave()).toBe(true);
    subnet.hosters.pop();
    await online(subnet);
  });
}

const stateOf = async (admin: string, model: string, state: string): Promise<number> =>
  total(await scrape(admin), 'cabstand_model_state', { model, state });

async function killEngine(hoster: TestNode): Promise<void> {
  const pid = hoster.engine(MODEL)!;
  process.kill(pid, 'SIGKILL');
  await eventually('the engine to be gone', () => !isAlive(pid) || undefined);
}

test('a disk that is lost: what is loaded serves on, and what cannot be read again goes elsewhere', async () => {
  const own = `${models}-own`;
  cpSync(models, own, { recursive: true });
  try {
    const hoster = await another({ settings: { models: own } });
    const { address, admin } = hoster;
    rmSync(own, { recursive: true });
    const diskless = await unharmed(callers, () => Promise.resolve());
    expect(openedAt(diskless, address)).toBeGreaterThan(0);
    // Short ones come and go.
    await eventually('sessions there', async () => (await sessionsAt(admin)) > 0 || undefined);

    // An engine that dies cannot load its model again: its sessions move, and those of the other model stay.
    const { moves } = await unharmed(callers, async () => {
      await killEngine(hoster);
      await eventually(`${MODEL} to be told as failed`, async () =>
        (await stateOf(admin, MODEL, 'failed')) === 1 ? true : undefined,
      );
    });
    expect(moves).toBeGreaterThan(0);
    expect(await stateOf(admin, 'ride', 'ready')).toBe(1);
    const refused = await ended(subnet, 'load', MODEL, '--hoster', address);
    expect(refused.code).not.toBe(0);
    expect(refused.output).toContain('cannot read its folders of models');

    // Started again without the disk it says what is missing; with half of it, it serves the other half.
    await unharmed(callers, async () => {
      expect(await hoster.leave()).toBe(true);
      const at = service(1);
      const again = await subnet.startHoster(1, at, { settings: { models: own } });
      expect(await again.child.exited).toEqual({ code: 2, signal: null });
      expect(again.child.output).toContain(own);
      cpSync(models, own, { recursive: true });
      rmSync(path.join(own, MODEL, '1', `${MODEL}.onnx`));
      await hoster.startAgain(0, undefined, { settings: { models: own } });
      await eventually(`${MODEL} to be told as failed`, async () =>
        (await stateOf(admin, MODEL, 'failed')) === 1 ? true : undefined,
      );
      expect(await stateOf(admin, 'ride', 'ready')).toBe(1);
    });
    const told = await ended(subnet, 'info', '--model', MODEL, '--hoster', address);
    expect(told.output).toContain(`${MODEL}.onnx`);
    await unharmed(callers, async () => expect(await hoster.leave()).toBe(true));
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}, 240_000);

test('a disk without room for logs, sockets and results: sessions go on, and lines that are lost are counted', async () => {
  using disk = new SmallDisk(40, 256);
  // Where this is not permitted nothing is tested: that must not pass.
  expect(disk.mounted).toBe(true);
  const audit = 'audit.log';
  const hoster = await another({
    under: disk.on([]),
    settings: {
      audit: { file: path.join(disk.folder, audit) },
      engines: {
        ...{ restart_seconds: 0.1, spares: 0, socket_folder: disk.folder },
        verification_cache: path.join(disk.folder, 'verified'),
      },
    },
  });
  const { address, admin, pid } = hoster;
  const audited = (): string => readFileSync(path.join(disk.seenBy(pid), audit), 'utf8');
  expect(audited()).not.toBe('');

  const filled = disk.fill(pid);
  const full = await unharmed(callers, () =>
    // Its last block has room for some lines.
    eventually('the audit log to be full', () => audited().length % BLOCK === 0 || undefined),
  );
  expect(openedAt(full, address)).toBeGreaterThan(0);
  const before = audited().length;
  await unharmed(callers, () => Promise.resolve());
  expect(audited().length).toBe(before);

  // The socket of an engine that dies makes room for that of the next one: it needs no more than was there.
  const dead = hoster.engine(MODEL);
  await unharmed(callers, async () => {
    await killEngine(hoster);
    await eventually('the next engine', () => {
      const next = hoster.engine(MODEL);
      return (next !== undefined && next !== dead) || undefined;
    });
    await eventually('sessions there', async () => (await sessionsAt(admin)) > 0 || undefined);
  });
  expect(isAlive(pid)).toBe(true);

  filled.free();
  await unharmed(callers, () =>
    eventually('the audit log to go on', () => audited().length > before || undefined),
  );
  const [, lost = ''] = /^(\{.*log lines could not be written.*\})$/m.exec(audited()) ?? [];
  expect(JSON.parse(lost)).toMatchObject({ lines: expect.any(Number) as number });
  await without(hoster);
}, 240_000);

/** Signs as anybody does who does not correct a clock by what a server says. */
const uncorrected = (inner: Authorizer): Authorizer => ({
  signRequest: (request) => inner.signRequest(request),
  validateRequest: (request) => inner.validateRequest(request),
  signResponse: (request) => inner.signResponse(request),
  validateResponse: (request, headers) => inner.validateResponse(request, headers),
});

async function infoBy(address: string, authorizer: Authorizer): Promise<unknown> {
  const client = new RpcClient(address, { authorizer });
  try {
    return await client.unary(HosterService.rpc_info, { models: [] }, { timeoutMs: 5000 });
  } finally {
    client.close();
  }
}

test.each([OFF_MS, -OFF_MS])(
  'a hoster whose clock is %d ms off serves those who correct themselves, and says to others by how much',
  async (shift) => {
    const hoster = await another({
      env: {
        NODE_OPTIONS: `--require ${SHIFT_CLOCK}`,
        CLOCK_SHIFT_MS: String(shift),
        CLOCK_SHIFT_OF: 'services/hoster',
      },
    });
    const { address, admin } = hoster;
    const refused = await refusalOf(infoBy(address, uncorrected(subnet.authorizer('client'))));
    expect(refused).toMatchObject({ reason: 'CLOCK_SKEW', class: 'auth' });
    expect(refused.message).toMatch(/signed (599|600|601)[\d.]* s (ago|in the future)/);
    const serverTime = Number(refused.metadata['server_time_ms']);
    expect(Math.abs(serverTime - Date.now() - shift)).toBeLessThan(10_000);
    const made = await issueToken({
      ...{ folder: subnet.keys, subject: 'bob', audience: [address], lifetimeMs: 300_000 },
    });
    expect(await refusalOf(infoBy(address, token(made)))).toMatchObject({
      reason: shift > 0 ? 'CREDENTIALS_EXPIRED' : 'CLOCK_SKEW',
    });

    const page = await scrape(admin);
    expect(total(page, 'cabstand_auth_refusals_total', { reason: 'CLOCK_SKEW' })).toBeGreaterThan(
      0,
    );
    const offset = total(page, 'cabstand_clock_offset_seconds') * 1000;
    expect(Math.abs(offset + shift)).toBeLessThan(10_000);
    const named = subnet.routers[0]!.child.output.split('\n').filter(
      (line) => line.includes('clock of a hoster') && line.includes(address),
    );
    expect(named).toHaveLength(1);
    expect(hoster.output).toContain('the clock of a router is off');
    const { code, output } = await ended(subnet, 'doctor', '--json');
    expect(code).toBe(1);
    const clock = output.split('\n').find((line) => line.includes(`"clock ${address}"`)) ?? '{}';
    expect(JSON.parse(clock)).toMatchObject({ status: 'fail' });
    expect(clock).toMatch(/this machine is (10 min|600|599)/);
    await without(hoster);
  },
  240_000,
);
