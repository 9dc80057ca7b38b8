/**
 * What docs/operations/changing.md tells an operator to do, under load: each service replaced by a newer one, hosters
 * added and taken away, a new version of a model, routers that move. One test after the other on the same subnet.
 */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { subnetPaths } from '@cabstand/auth-admin';
import { REPOSITORY_ROOT, Subnet, scrape, total } from '@cabstand/testing';
import { MODEL, online } from './asking';
import { Callers } from './callers';
import type { Crew } from './callers';
import { GrpcCaller } from './gateways/callers';
import { GatewayNode } from './gateways/node';
import { TestNode } from './node';
import { cabstand } from './operations/command';
import { throughGateways } from './operations/gateway-caller';
import { eventually, newCaller, openedAt, sessionsAt, unharmed } from './operations/load';
import { addVersion2, operatedModels } from './operations/models';
import { NextBuild } from './operations/next-build';

const NAMES = path.join(REPOSITORY_ROOT, 'test/support/names.cjs');
const CREW: Crew = { running: 4, opening: 2, plain: 2, riding: 2 };
const BUILD_INFO = 'cabstand_build_info';
const before = process.env['NODE_OPTIONS'];

let models: string;
let subnet: Subnet;
let next: NextBuild;
let gateways: GatewayNode[];
let throughBoth: GrpcCaller;
let callers: Callers;

beforeAll(async () => {
  models = operatedModels();
  next = new NextBuild('99.0.0');
  const names = path.join(models, '..', `${path.basename(models)}.names`);
  process.env['NAMES_FILE'] = names;
  process.env['NODE_OPTIONS'] = `${before ?? ''} --require ${NAMES}`;
  resolve('127.0.0.1', '127.0.0.1');
  await import(NAMES);
  subnet = await Subnet.start({
    ...{ models, named: true, routers: 2, hosters: 2, readyMs: 240_000 },
    // Callers of gateways leave their sessions behind: those of an old version have no other place to go to.
    hosterConfig: {
      ...{ shutdown_seconds: 15, engines: { spares: 0 } },
      limits: { idle_timeout_seconds: 15 },
    },
  });
  const timeouts = { recover_seconds: 120, place_seconds: 60 };
  gateways = [
    await GatewayNode.start(subnet, 'gateway-1', { timeouts }),
    await GatewayNode.start(subnet, 'gateway-2', { timeouts }),
  ];
  throughBoth = new GrpcCaller(gateways, subnetPaths(subnet.keys).key('client'));
}, 300_000);

beforeEach(async () => {
  callers = await newCallers();
}, 60_000);

afterEach(() => callers[Symbol.asyncDispose](), 60_000);

afterAll(async () => {
  throughBoth[Symbol.dispose]();
  for (const gateway of gateways) await gateway[Symbol.asyncDispose]();
  await subnet.stop();
  next[Symbol.dispose]();
  rmSync(models, { recursive: true });
  rmSync(process.env['NAMES_FILE'] ?? '', { force: true });
  delete process.env['NAMES_FILE'];
  if (before === undefined) delete process.env['NODE_OPTIONS'];
  else process.env['NODE_OPTIONS'] = before;
}, 240_000);

/** Where the names of the routers lead from now on. */
function resolve(...addresses: readonly string[]): void {
  const lines = addresses.map((address, i) => `router-${String(i)}.test ${address}\n`);
  writeFileSync(process.env['NAMES_FILE'] ?? '', lines.join(''));
}

async function newCallers(): Promise<Callers> {
  const caller = newCaller(subnet);
  return new Callers(caller, { ...CREW, others: [await throughGateways(throughBoth, caller)] });
}

async function versionOf(admin: string): Promise<string> {
  const page = await scrape(admin);
  const [series = ''] = [...page.keys()].filter((name) => name.startsWith(BUILD_INFO));
  return /version="([^"]*)"/.exec(series)?.[1] ?? '';
}

const versions = async (admins: readonly string[]): Promise<Set<string>> =>
  new Set(await Promise.all(admins.map(versionOf)));

const adminsOf = (services: readonly { readonly admin: string }[]): string[] =>
  services.map(({ admin }) => admin);

/** `cabstand drain --wait`; the process has ended by itself then. Says how many sessions it had. */
async function drain(hoster: number): Promise<number> {
  const { admin, address, child } = subnet.hosters[hoster]!;
  // Short ones come and go.
  const had = await eventually(
    'sessions to move',
    async () => (await sessionsAt(admin)) || undefined,
  );
  await cabstand(subnet, 'drain', address, '--wait');
  expect(await child.exited).toEqual({ code: 0, signal: null });
  return had;
}

/** Both versions are there at once, and go together. */
async function mixed(admins: readonly string[]): Promise<void> {
  const both = await versions(admins);
  expect(both.size).toBe(2);
  await unharmed(callers, () => Promise.resolve());
}

test('hosters are upgraded one after the other', async () => {
  subnet.build = next.folder;
  const pids = subnet.hosters.map(({ child }) => child.pid);
  for (const i of subnet.hosters.keys()) {
    const hoster = new TestNode(subnet, 'hoster', i);
    let had = 0;
    const { moves } = await unharmed(callers, async () => {
      had = await drain(i);
      await hoster.startAgain();
      await online(subnet);
    });
    expect(had).toBeGreaterThan(0);
    expect(moves).toBeGreaterThan(0);
    if (i === 0) await mixed(adminsOf(subnet.hosters));
  }
  expect(await versions(adminsOf(subnet.hosters))).toEqual(new Set([next.version]));
  for (const { child } of subnet.hosters) expect(pids).not.toContain(child.pid);
}, 240_000);

test('routers are upgraded one after the other', async () => {
  const pids = subnet.routers.map(({ child }) => child.pid);
  for (const i of subnet.routers.keys()) {
    await unharmed(callers, async () => {
      const router = new TestNode(subnet, 'router', i);
      expect(await router.leave()).toBe(true);
      await router.startAgain();
      await online(subnet);
    });
    if (i === 0) await mixed(adminsOf(subnet.routers));
  }
  expect(await versions(adminsOf(subnet.routers))).toEqual(new Set([next.version]));
  for (const { child } of subnet.routers) expect(pids).not.toContain(child.pid);
}, 240_000);

test('gateways are upgraded one after the other', async () => {
  const pids = gateways.map(({ pid }) => pid);
  for (const [i, gateway] of gateways.entries()) {
    await unharmed(callers, async () => expect(await gateway.leaveAndRestart()).toBe(0));
    if (i === 0) await mixed(adminsOf(gateways));
  }
  expect(await versions(adminsOf(gateways))).toEqual(new Set([next.version]));
  for (const { pid } of gateways) expect(pids).not.toContain(pid);
}, 240_000);

test('a hoster is added, gets sessions, and is taken away again', async () => {
  const added = subnet.hosters.length;
  const seen = await unharmed(callers, async () => {
    subnet.hosters.push(await subnet.startHoster(added));
    await subnet.ready(subnet.hosters[added]!);
    await online(subnet);
    const { admin } = subnet.hosters[added]!;
    await eventually(
      'the new hoster to have sessions',
      async () => (await sessionsAt(admin)) > 1 || undefined,
    );
  });
  expect(openedAt(seen, subnet.hosters[added]!.address)).toBeGreaterThan(0);
  await unharmed(callers, async () => {
    expect(await drain(added)).toBeGreaterThan(0);
    subnet.hosters.pop();
    await online(subnet);
  });
}, 240_000);

test('a new version of a model: running sessions end on the old one, new ones get the new one', async () => {
  addVersion2(models);
  const series = (version: string) => ({ model: MODEL, version });
  const loaded = async (version: string): Promise<number> =>
    (
      await Promise.all(
        subnet.hosters.map(async ({ admin }) =>
          total(await scrape(admin), 'cabstand_model_state', series(version)),
        ),
      )
    ).reduce((sum, one) => sum + one, 0);
  await unharmed(callers, () => cabstand(subnet, 'load', MODEL));
  expect([await loaded('1'), await loaded('2')]).toEqual([2, 2]);
  // All of the running ones are still those of before.
  const { places } = await unharmed(callers, () => Promise.resolve());
  const opened = [...places.keys()].filter((place) => place.endsWith('@2'));
  expect(opened).not.toEqual([]);
  expect([...places.keys()].filter((place) => !place.endsWith('@2'))).toEqual([]);
  const later = await newCallers();
  await callers[Symbol.asyncDispose]();
  expect(callers.failures).toEqual([]);
  callers = later;
  await unharmed(callers, () =>
    eventually('the old version to be gone', async () => (await loaded('1')) === 0 || undefined),
  );
}, 240_000);

/** Waits until hosters, all by default, are registered at so many routers. */
const registered = (routers: number, hosters = subnet.hosters): Promise<unknown> =>
  Promise.all(
    hosters.map(({ admin }) =>
      eventually(
        `${admin} to be registered at ${String(routers)} routers`,
        async () =>
          total(await scrape(admin), 'cabstand_registered_routers') === routers || undefined,
      ),
    ),
  );

test('routers that have names move to other addresses, and nobody is told', async () => {
  const pids = subnet.hosters.map(({ child }) => child.pid);
  const addresses = ['127.0.0.1', '127.0.0.1'];
  for (const [i, old] of subnet.routers.entries()) {
    await unharmed(callers, async () => {
      const moved = (address: string): string => address.replace('127.0.0.1', '127.0.0.2');
      const at = { ...old, address: moved(old.address), admin: moved(old.admin) };
      const started = await subnet.startRouter(i, at);
      await subnet.ready(started);
      addresses[i] = '127.0.0.2';
      resolve(...addresses);
      subnet.routers[i] = started;
      await old.child.stop();
      await registered(2);
      await online(subnet);
    });
  }
  expect(subnet.hosters.map(({ child }) => child.pid)).toEqual(pids);
}, 240_000);

test('routers move to other names: new ones beside the old ones, then the lists, then the old ones go', async () => {
  await unharmed(callers, async () => {
    const old = subnet.routers.splice(0);
    resolve('127.0.0.2', '127.0.0.2', '127.0.0.1', '127.0.0.1');
    const fresh = [await subnet.startRouter(2), await subnet.startRouter(3)];
    for (const router of fresh) await subnet.ready(router);
    subnet.routers.push(...old, ...fresh);
    for (const i of subnet.hosters.keys()) {
      const hoster = new TestNode(subnet, 'hoster', i);
      expect(await hoster.leave()).toBe(true);
      await hoster.startAgain();
      await registered(4, [subnet.hosters[i]!]);
    }
    await online(subnet);
    for (const gateway of gateways) expect(await gateway.leaveAndRestart()).toBe(0);
    await callers.restart(newCaller(subnet));
    for (const { child } of old) expect(await child.stop()).toMatchObject({ code: 0 });
    subnet.routers.splice(0, old.length);
    await registered(2);
    await online(subnet);
  });
}, 240_000);
