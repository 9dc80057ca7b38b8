/**
 * Every key there is, rotated as docs/operations/changing.md says, while sessions run and new ones are opened. One test after
 * the other on the same subnet: the last ends the old keys.
 */
import { copyFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { readPrivateKey, signedTickets } from '@cabstand/auth';
import {
  authConfigSchema,
  createClientAuthorizer,
  issueToken,
  readSealKeys,
  renewCertificate,
  rotateKey,
  rotateSealKey,
  subnetPaths,
} from '@cabstand/auth-admin';
import { token } from '@cabstand/client';
import type { Authorizer } from '@cabstand/rpc';
import {
  Child,
  REPOSITORY_ROOT,
  Subnet,
  TEST_MODELS,
  refusalOf,
  scrape,
  total,
  until,
} from '@cabstand/testing';
import { MODEL, addUp, lease, nodesBy, online, sealedWith, shown, turnWith } from './asking';
import { Callers, closeCaller } from './callers';
import type { Caller } from './callers';
import { TestNode } from './node';
import { newCaller, unharmed } from './operations/load';

const CLI = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');
/** Servers look every 2 seconds whether the calls that are open are still good, which counts as a use. */
const UNUSED_MS = 3000;
const KNOWN_SINCE = 'cabstand_retired_key_known_since_timestamp_seconds';
const LAST_USED = 'cabstand_retired_key_last_used_timestamp_seconds';
const OWN_END = 'cabstand_own_key_expiry_timestamp_seconds';
const RUNNING = 4;
const OPENING = 2;
const MEMBERS = ['client', 'issuer', 'router', 'hoster'] as const;
/** Hosters look at the file every 5 seconds, so that all know the key before it begins. */
const SEAL_BEGINS_MS = 6500;
/** What the old key sealed can be opened for this long after that. */
const SEAL_OVERLAP_MS = 14_000;

let subnet: Subnet;
let routers: TestNode[];
let hosters: TestNode[];
let callers: Callers;
/** A copy of the folder, with all keys as they are before. */
let old: string;
/** A token, a session, and a key that seals, of before. */
let oldToken: string;
let oldHandles: string[];
let oldSeal: string;

beforeAll(async () => {
  subnet = await Subnet.start({
    tls: true,
    verifyServers: true,
    routers: 2,
    hosters: 2,
    models: TEST_MODELS,
    hosterConfig: { only: [MODEL], shutdown_seconds: 15 },
  });
  routers = subnet.routers.map((_, i) => new TestNode(subnet, 'router', i));
  hosters = subnet.hosters.map((_, i) => new TestNode(subnet, 'hoster', i));
  old = path.join(subnet.folder, 'old');
  mkdirSync(old);
  for (const member of MEMBERS) copyFileSync(subnetPaths(subnet.keys).key(member), oldKey(member));
  oldToken = await issueToken({
    folder: subnet.keys,
    subject: 'bob',
    audience: subnet.routerAddresses,
  });
  oldSeal = newestSeal();
  const caller = newCaller(subnet);
  oldHandles = [await handleOf(caller), await handleOf(caller)];
  callers = new Callers(caller, { running: RUNNING, opening: OPENING });
}, 120_000);

afterAll(async () => {
  await callers[Symbol.asyncDispose]();
  await subnet.stop();
}, 120_000);

const oldKey = (member: string): string => path.join(old, `${member}.key.json`);
const newestSeal = (): string => readSealKeys(subnetPaths(subnet.keys).seal).at(-1)?.id ?? '';

/** `cabstand keys retire`, asking all services. */
async function retire(member: string): Promise<{ code: number | null; output: string }> {
  const metrics = services().map(({ admin }) => `http://${admin}`);
  await using child = new Child('keys', [
    ...[CLI, 'keys', 'retire', member, '--out', subnet.keys],
    ...['--unused-for', `${UNUSED_MS}ms`, '--metrics', metrics.join(',')],
  ]);
  const { code } = await child.exited;
  return { code, output: child.output };
}

/** Waits until no service was called with an old key for long enough since it knows of it, nor signs with one. */
async function unused(): Promise<void> {
  for (const { admin } of services())
    await until(`${admin} to see the old keys no more`, async () => {
      const page = await scrape(admin);
      const newest = (name: string): number =>
        Math.max(
          ...[...page].flatMap(([series, at]) => (series.startsWith(name) ? [at * 1000] : [])),
        );
      return total(page, OWN_END) === Infinity &&
        Date.now() - newest(LAST_USED) > UNUSED_MS &&
        Date.now() - newest(KNOWN_SINCE) > 10_000
        ? true
        : undefined;
    });
}

const services = () => [...subnet.routers, ...subnet.hosters];

/** A session's handle with a checkpoint; the session itself is over. */
async function handleOf({ sessions }: Caller): Promise<string> {
  const session = sessions.session({ model: MODEL });
  expect(await addUp(session, 100)).toBe(100);
  const handle = session.export();
  await session.close();
  return handle;
}

test('all get new keys, and nobody who uses an old one is shut out', async () => {
  await unharmed(callers, async () => {
    rotateSealKey({ folder: subnet.keys, beginsMs: SEAL_BEGINS_MS, overlapMs: SEAL_OVERLAP_MS });
    const caller = newCaller(subnet);
    const [handle = ''] = oldHandles;
    expect(sealedWith(handle, oldSeal)).toBe(true);
    const again = caller.sessions.import(handle);
    expect(await addUp(again, 100)).toBe(200);
    await again.close();
    for (const name of MEMBERS) rotateKey({ folder: subnet.keys, name });
    // Nobody can say yet whether an old one is used.
    expect(await retire('client')).toMatchObject({
      code: 2,
      output: expect.stringMatching(/does not know yet|knows only since/) as string,
    });
    // They know of it at different times, each within 5 seconds.
    for (const { admin } of services())
      await until(
        `${admin} to know that its key was replaced`,
        async () => Number.isFinite(total(await scrape(admin), OWN_END)) || undefined,
      );
    const { id } = readPrivateKey(oldKey('client'));
    await until('a service to see the old key of the client', async () => {
      const pages = await Promise.all(services().map(({ admin }) => scrape(admin)));
      return pages.some((page) => total(page, LAST_USED, { key: id }) > 0) || undefined;
    });
    for (const [member, why] of [
      ['client', /was called with client-/],
      ['router', /signs with it/],
      ['hoster', /signs with it/],
    ] as const)
      expect(await retire(member)).toMatchObject({
        code: 2,
        output: expect.stringMatching(why) as string,
      });
    const session = caller.sessions.session({ model: MODEL });
    await until('a checkpoint under the new seal key', async () => {
      await addUp(session, 20);
      return sealedWith(session.export(), newestSeal()) || undefined;
    });
    await session.close();
    await closeCaller(caller);
  });
}, 120_000);

test('certificates get another name, and none is restarted', async () => {
  const servers = services();
  const pids = servers.map(({ child }) => child.pid);
  const before = await Promise.all(servers.map(({ address }) => shown(subnet, address)));
  await unharmed(callers, async () => {
    for (const name of ['router', 'hoster'])
      await renewCertificate({ folder: subnet.keys, name, hosts: [`${name}.example.org`] });
    for (const [i, { address }] of servers.entries())
      await until(`a new certificate at ${address}`, async () => {
        const { serialNumber, subjectaltname } = await shown(subnet, address);
        if (serialNumber === before[i]?.serialNumber) return undefined;
        expect(subjectaltname).toMatch(/(router|hoster)\.example\.org/);
        return true;
      });
  });
  expect(servers.map(({ child }) => child.pid)).toEqual(pids);
}, 120_000);

test('the key of the client: its sessions go on in one that has the new key', async () => {
  await unharmed(callers, () => callers.restart(newCaller(subnet)));
}, 120_000);

test('the key of the issuer: tokens of both are good', async () => {
  await unharmed(callers, async () => {
    const address = subnet.routerAddresses[0] ?? '';
    const made = await issueToken({ folder: subnet.keys, subject: 'bob', audience: [address] });
    for (const one of [oldToken, made]) await nodesBy(subnet, token(one));
  });
}, 120_000);

test('the keys of routers, with which they sign tickets: one router after the other', async () => {
  await unharmed(callers, async () => {
    for (const router of routers) {
      expect(await router.leave()).toBe(true);
      await router.startAgain();
      await online(subnet);
    }
  });
  const { ticket } = await lease(subnet);
  expect(ticket.split('~')[1]).toBe(readPrivateKey(subnetPaths(subnet.keys).key('router')).id);
}, 120_000);

test('the keys of hosters: one hoster after the other', async () => {
  await unharmed(callers, async () => {
    for (const hoster of hosters) {
      expect(await hoster.leave()).toBe(true);
      await hoster.startAgain();
      await online(subnet);
    }
  });
}, 120_000);

/** Once the old seal key has ended, what it sealed is good for nothing. */
async function sealRefused(): Promise<void> {
  const caller = newCaller(subnet);
  const sealed = readSealKeys(subnetPaths(subnet.keys).seal).find(({ id }) => id === oldSeal);
  await until(
    'the old seal key to end',
    () => Date.now() > (sealed?.notAfterMs ?? Infinity) || undefined,
  );
  // It is tried at each hoster, again and again, for so long.
  const timeouts = { placeMs: 3000, recoverMs: 3000 };
  await using again = caller.sessions.import(oldHandles[1] ?? '', { timeouts });
  expect(await refusalOf(addUp(again, 100))).toMatchObject({ reason: 'CHECKPOINT_INVALID' });
  await closeCaller(caller);
}

test('what old keys signed and sealed is refused once they have ended', async () => {
  await unharmed(callers, async () => {
    // The client with the new key is refused at each hoster, for a while: meanwhile the rest is looked at.
    const seal = sealRefused();
    seal.catch(() => undefined);
    await unused();
    // One after the other: each writes the file.
    for (const member of MEMBERS)
      expect(await retire(member)).toMatchObject({
        code: 0,
        output: expect.stringContaining(
          `${readPrivateKey(oldKey(member)).id} is good no more`,
        ) as string,
      });
    for (const by of [
      oldMember('client'),
      oldMember('hoster'),
      oldMember('router'),
      token(oldToken),
    ])
      await until('the old key to be refused', async () => {
        const { reason } = await refusalOf(nodesBy(subnet, by));
        return reason === 'CREDENTIALS_EXPIRED' || undefined;
      });
    const leased = await lease(subnet);
    const ticket = signedTickets(readPrivateKey(oldKey('router'))).sign({
      leaseId: leased.lease_id,
      model: MODEL,
      nodeId: leased.node?.node_id ?? '',
      incarnation: leased.node?.incarnation ?? '',
      principal: 'client',
      expiresMs: Date.now() + 60_000,
    });
    await until('a ticket of the old key to be refused', async () => {
      const refused = await refusalOf(turnWith(subnet, leased.node?.address ?? '', ticket));
      return refused.metadata['problem'] === 'unknown_key' || undefined;
    });
    await turnWith(subnet, leased.node?.address ?? '', leased.ticket);
    await seal;
  });
}, 120_000);

function oldMember(member: string): Authorizer {
  const config = { ...subnet.authConfig(member), key: oldKey(member) };
  return createClientAuthorizer(authConfigSchema.parse(config));
}
