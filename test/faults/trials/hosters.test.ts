/**
 * Hosters on machines that lose their disk, have no room on it, or a wrong clock, as docs/operations/faults.md has them:
 * each beside one that is well, under load.
 */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { issueToken } from '@cabstand/auth-admin';
import { token } from '@cabstand/client';
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { Authorizer } from '@cabstand/rpc';
import { refusalOf, scrape, total } from '@cabstand/testing';
import type { Service, ServiceChanges } from '@cabstand/testing';
import { isAlive } from '../../support/processes';
import { SmallDisk } from '../../support/small-disk';
import { MODEL, online } from '../asking';
import { TestNode } from '../node';
import { ended } from '../operations/command';
import { eventually, openedAt, sessionsAt, unharmed } from '../operations/load';
import { BLOCK, CONNECT_MS, OFF_MS, TRIAL_MS, Trial, clockOff } from './trial';

let trial: Trial;

beforeAll(async () => {
  trial = await Trial.start();
}, TRIAL_MS);

afterEach(() => trial.unload(), TRIAL_MS);

afterAll(() => trial[Symbol.asyncDispose](), TRIAL_MS);

/** One more hoster, until sessions run on it. */
async function another(changes: ServiceChanges): Promise<TestNode> {
  const index = trial.subnet.hosters.length;
  trial.subnet.hosters.push(await trial.subnet.startHoster(index, undefined, changes));
  const { admin, address } = service(index);
  await trial.subnet.ready(service(index));
  await online(trial.subnet);
  const seen = await unharmed(trial.callers, () =>
    eventually(`sessions at ${address}`, async () => (await sessionsAt(admin)) > 1 || undefined),
  );
  expect(openedAt(seen, address)).toBeGreaterThan(0);
  return new TestNode(trial.subnet, 'hoster', index);
}

const service = (index: number): Service => trial.subnet.hosters[index]!;

/** It leaves in order, and its sessions go on elsewhere. */
async function without(hoster: TestNode): Promise<void> {
  await unharmed(trial.callers, async () => {
    expect(await hoster.leave()).toBe(true);
    trial.subnet.hosters.pop();
    await online(trial.subnet);
  });
}

const stateOf = async (admin: string, model: string, state: string): Promise<number> =>
  total(await scrape(admin), 'cabstand_model_state', { model, state });

async function killEngine(hoster: TestNode): Promise<void> {
  const pid = hoster.engine(MODEL)!;
  process.kill(pid, 'SIGKILL');
  await eventually('the engine to be gone', () => !isAlive(pid) || undefined);
}

test(
  'a disk that is lost: what is loaded serves on, and what cannot be read again goes elsewhere',
  async () => {
    const own = `${trial.models}-own`;
    cpSync(trial.models, own, { recursive: true });
    try {
      const hoster = await another({ settings: { models: own } });
      const { address, admin } = hoster;
      rmSync(own, { recursive: true });
      const opened = async (): Promise<number> =>
        total(await scrape(admin), 'cabstand_sessions_opened_total', { model: MODEL });
      const before = await opened();
      const diskless = await unharmed(trial.callers, () =>
        eventually('one more there', async () => (await opened()) > before || undefined),
      );
      expect(openedAt(diskless, address)).toBeGreaterThan(0);
      // Short ones come and go.
      await eventually('sessions there', async () => (await sessionsAt(admin)) > 0 || undefined);

      // An engine that dies cannot load its model again: its sessions move, and those of the other model stay.
      const { moves } = await unharmed(trial.callers, async () => {
        await killEngine(hoster);
        await eventually(`${MODEL} to be told as failed`, async () =>
          (await stateOf(admin, MODEL, 'failed')) === 1 ? true : undefined,
        );
      });
      expect(moves).toBeGreaterThan(0);
      expect(await stateOf(admin, 'ride', 'ready')).toBe(1);
      // The command waits two seconds for a connection, which a busy machine may take.
      const refused = await eventually('the hoster to be reached', async () => {
        const said = await ended(trial.subnet, 'load', MODEL, '--hoster', address);
        return said.output.includes('(NODE_UNREACHABLE)') ? undefined : said;
      });
      expect(refused.code).not.toBe(0);
      expect(refused.output).toContain('cannot read its folders of models');

      // Started again without the disk it says what is missing; with half of it, it serves the other half.
      await unharmed(trial.callers, async () => {
        expect(await hoster.leave()).toBe(true);
        const at = service(1);
        const again = await trial.subnet.startHoster(1, at, { settings: { models: own } });
        expect(await again.child.exited).toEqual({ code: 2, signal: null });
        expect(again.child.output).toContain(own);
        cpSync(trial.models, own, { recursive: true });
        rmSync(path.join(own, MODEL, '1', `${MODEL}.onnx`));
        await hoster.startAgain(0, undefined, { settings: { models: own } });
        await eventually(`${MODEL} to be told as failed`, async () =>
          (await stateOf(admin, MODEL, 'failed')) === 1 ? true : undefined,
        );
        expect(await stateOf(admin, 'ride', 'ready')).toBe(1);
      });
      const told = await ended(trial.subnet, 'info', '--model', MODEL, '--hoster', address);
      expect(told.output).toContain(`${MODEL}.onnx`);
      await unharmed(trial.callers, async () => expect(await hoster.leave()).toBe(true));
    } finally {
      rmSync(own, { recursive: true, force: true });
    }
  },
  TRIAL_MS,
);

test(
  'a disk without room for logs, sockets and results: sessions go on, and lines that are lost are counted',
  async () => {
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
    const full = await unharmed(trial.callers, () =>
      // Its last block has room for some lines.
      eventually('the audit log to be full', () => audited().length % BLOCK === 0 || undefined),
    );
    expect(openedAt(full, address)).toBeGreaterThan(0);
    const before = audited().length;
    await unharmed(trial.callers, () => Promise.resolve());
    expect(audited().length).toBe(before);

    // The socket of an engine that dies makes room for that of the next one: it needs no more than was there.
    const dead = hoster.engine(MODEL);
    await unharmed(trial.callers, async () => {
      await killEngine(hoster);
      await eventually('the next engine', () => {
        const next = hoster.engine(MODEL);
        return (next !== undefined && next !== dead) || undefined;
      });
      await eventually('sessions there', async () => (await sessionsAt(admin)) > 0 || undefined);
    });
    expect(isAlive(pid)).toBe(true);

    filled.free();
    await unharmed(trial.callers, () =>
      eventually('the audit log to go on', () => audited().length > before || undefined),
    );
    const [, lost = ''] = /^(\{.*log lines could not be written.*\})$/m.exec(audited()) ?? [];
    expect(JSON.parse(lost)).toMatchObject({ lines: expect.any(Number) as number });
    await without(hoster);
  },
  TRIAL_MS,
);

/** Signs as anybody does who does not correct a clock by what a server says. */
const uncorrected = (inner: Authorizer): Authorizer => ({
  signRequest: (request) => inner.signRequest(request),
  validateRequest: (request) => inner.validateRequest(request),
  signResponse: (request) => inner.signResponse(request),
  validateResponse: (request, headers) => inner.validateResponse(request, headers),
});

async function infoBy(address: string, authorizer: Authorizer): Promise<unknown> {
  const client = new RpcClient(address, { authorizer, connectTimeoutMs: CONNECT_MS });
  try {
    return await client.unary(HosterService.rpc_info, { models: [] }, { timeoutMs: CONNECT_MS });
  } finally {
    client.close();
  }
}

test.each([OFF_MS, -OFF_MS])(
  'a hoster whose clock is %d ms off serves those who correct themselves, and says to others by how much',
  async (shift) => {
    const hoster = await another({
      env: clockOff(shift, 'hoster'),
    });
    const { address, admin } = hoster;
    const refused = await refusalOf(
      infoBy(address, uncorrected(trial.subnet.authorizer('client'))),
    );
    expect(refused).toMatchObject({ reason: 'CLOCK_SKEW', class: 'auth' });
    expect(refused.message).toMatch(/signed (599|600|601)[\d.]* s (ago|in the future)/);
    const serverTime = Number(refused.metadata['server_time_ms']);
    expect(Math.abs(serverTime - Date.now() - shift)).toBeLessThan(10_000);
    const made = await issueToken({
      ...{ folder: trial.subnet.keys, subject: 'bob', audience: [address], lifetimeMs: 300_000 },
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
    const named = trial.subnet.routers[0]!.child.output.split('\n').filter(
      (line) => line.includes('clock of a hoster') && line.includes(address),
    );
    expect(named).toHaveLength(1);
    expect(hoster.output).toContain('the clock of a router is off');
    const { code, output } = await ended(trial.subnet, 'doctor', '--json');
    expect(code).toBe(1);
    const clock = output.split('\n').find((line) => line.includes(`"clock ${address}"`)) ?? '{}';
    expect(JSON.parse(clock)).toMatchObject({ status: 'fail' });
    expect(clock).toMatch(/this machine is (10 min|600|599)/);
    await without(hoster);
  },
  TRIAL_MS,
);
