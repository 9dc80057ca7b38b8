/** Credentials and tickets that are not good: refused by reason on both services, harming nobody. */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { SignatureAuthorizer, mintToken, readPrivateKey, signedTickets } from '@cabstand/auth';
import {
  addMember,
  authConfigSchema,
  createClientAuthorizer,
  generateSubnetKeys,
  issueToken,
  subnetPaths,
} from '@cabstand/auth-admin';
import type { Ticket, TokenClaims } from '@cabstand/auth';
import { systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { Encoded, HosterService, RouterService } from '@cabstand/rpc';
import type { Authorizer, v1 } from '@cabstand/rpc';
import { Subnet, refusalOf, until } from '@cabstand/testing';
import { Unharmed } from '../support/bystander';
import { RawClient, audio, headers, within } from '../support/raw';

const HOUR_MS = 3_600_000;

let subnet: Subnet;
let unharmed: Unharmed;

beforeAll(async () => {
  subnet = await Subnet.start();
  unharmed = new Unharmed(subnet);
}, 90_000);

afterAll(() => subnet.stop());

afterEach(() => unharmed.checkProcesses());

const info = HosterService.rpc_info;
const acquire = RouterService.rpc_acquire;

/** What both services say to calls with these credentials. */
async function refusals(authorizer: Authorizer): Promise<unknown[]> {
  using client = new RawClient(subnet, authorizer);
  const { reason: atHoster } = await refusalOf(client.hoster.unary(info, {}, within));
  const { reason: atRouter } = await refusalOf(
    client.router.unary(acquire, { model: 'g2p' }, within),
  );
  const { reason: atStream } = await client.streamRefusal([{ open: { model: 'g2p' } }]);
  return [...new Set([atHoster, atRouter, atStream])];
}

const key = (member = 'client', folder = subnet.keys) =>
  readPrivateKey(subnetPaths(folder).key(member));

async function bearer(claims: Partial<TokenClaims>, member = 'client'): Promise<Authorizer> {
  const token = await mintToken(key(member), {
    subject: 'client',
    roles: ['client'],
    audience: [...subnet.routers, ...subnet.hosters].map(({ address }) => address),
    nowMs: Date.now(),
    lifetimeMs: HOUR_MS,
    ...claims,
  });
  return headers({ authorization: `Bearer ${token}` });
}

/** Signs as the client, then lets `change` have its way with the headers. */
function tampering(change: (signed: Record<string, string>) => Record<string, string>): Authorizer {
  const signer = new SignatureAuthorizer({ key: key() });
  return {
    ...headers({}),
    signRequest: async (request) => change({ ...(await signer.signRequest(request)) }),
  };
}

/** Signs well, but for another server. */
function signingFor(audience: string): Authorizer {
  const signer = new SignatureAuthorizer({ key: key() });
  return { ...headers({}), signRequest: (request) => signer.signRequest({ ...request, audience }) };
}

const without = (name: string) =>
  tampering((signed) =>
    Object.fromEntries(Object.entries(signed).filter(([header]) => header !== name)),
  );

const withHeader = (name: string, value: string) =>
  tampering((signed) => ({ ...signed, [name]: value }));

function off(ms: number): Clock {
  return { ...systemClock, now: () => systemClock.now() + ms };
}

describe('credentials', () => {
  test.each<[string, string, () => Authorizer | Promise<Authorizer>]>([
    ['no credentials', 'CREDENTIALS_MISSING', () => headers({})],
    ['no key id', 'CREDENTIALS_MISSING', () => without('cabstand-key-id')],
    ['no nonce', 'CREDENTIALS_MISSING', () => without('cabstand-nonce')],
    [
      'another scheme',
      'CREDENTIALS_MALFORMED',
      () => headers({ authorization: 'Basic Zm9vOmJhcg==' }),
    ],
    ['no token', 'CREDENTIALS_MALFORMED', () => headers({ authorization: 'Bearer a.b.c' })],
    [
      'a token without signature',
      'CREDENTIALS_MALFORMED',
      () => headers({ authorization: `Bearer ${unsigned()}` }),
    ],
    ['a short nonce', 'CREDENTIALS_MALFORMED', () => withHeader('cabstand-nonce', 'again')],
    ['a time in words', 'CREDENTIALS_MALFORMED', () => withHeader('cabstand-timestamp', 'noon')],
    ['half a signature', 'CREDENTIALS_MALFORMED', () => withHeader('cabstand-signature', 'AAAA')],
    [
      'an expired token',
      'CREDENTIALS_EXPIRED',
      () => bearer({ nowMs: Date.now() - 2 * HOUR_MS, lifetimeMs: HOUR_MS }),
    ],
    [
      'a token for the whole subnet',
      'CREDENTIALS_AUDIENCE',
      () => bearer({ audience: ['cabstand'] }),
    ],
    ['a request for another server', 'CREDENTIALS_AUDIENCE', () => signingFor('example.com:50051')],
    [
      'another audience than was signed',
      'KEY_UNKNOWN',
      () => withHeader('cabstand-audience', 'example.com:50051'),
    ],
    ['a token about somebody else', 'UNAUTHENTICATED', () => bearer({ subject: 'admin' })],
    ['a token with more roles', 'UNAUTHENTICATED', () => bearer({ roles: ['client', 'admin'] })],
    [
      'another nonce than was signed',
      'KEY_UNKNOWN',
      () => withHeader('cabstand-nonce', randomBytes(16).toString('base64url')),
    ],
    [
      'a clock an hour behind',
      'CLOCK_SKEW',
      () => uncorrected(new SignatureAuthorizer({ key: key(), clock: off(-HOUR_MS) })),
    ],
    [
      'a clock an hour ahead',
      'CLOCK_SKEW',
      () => uncorrected(new SignatureAuthorizer({ key: key(), clock: off(HOUR_MS) })),
    ],
    ['a key of another subnet', 'KEY_UNKNOWN', foreign],
  ])('with %s: %s', async (_what, reason, authorizer) => {
    expect(await refusals(await authorizer())).toEqual([reason]);
  });

  function unsigned(): string {
    const part = (value: object): string =>
      Buffer.from(JSON.stringify(value)).toString('base64url');
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const payload = { sub: 'client', roles: ['admin'], aud: 'cabstand', exp };
    return `${part({ alg: 'none', kid: key().id })}.${part(payload)}.`;
  }

  const uncorrected = (authorizer: SignatureAuthorizer): Authorizer => ({
    ...headers({}),
    signRequest: (request) => authorizer.signRequest(request),
  });

  async function foreign(): Promise<Authorizer> {
    const folder = path.join(subnet.folder, 'other-keys');
    await generateSubnetKeys({ folder });
    return new SignatureAuthorizer({ key: key('client', folder) });
  }

  test('a request that is sent again, elsewhere, or changed', async () => {
    let signed: Readonly<Record<string, string>> | undefined;
    const signer = new SignatureAuthorizer({ key: key() });
    const again: Authorizer = {
      ...headers({}),
      signRequest: async (request) => (signed ??= await signer.signRequest(request)),
    };
    using client = new RawClient(subnet, again);
    expect(await client.hoster.unary(info, {}, within)).toMatchObject({ draining: false });
    const refused = (client_: RawClient, request: v1.InfoRequest): Promise<unknown> =>
      refusalOf(client_.hoster.unary(info, request, within));
    expect(await refused(client, {})).toMatchObject({ reason: 'CREDENTIALS_REPLAYED' });
    expect(await refused(client, { models: ['g2p'] })).toMatchObject({ reason: 'KEY_UNKNOWN' });
    using elsewhere = new RawClient(subnet, again, 1);
    expect(await refused(elsewhere, {})).toMatchObject({ reason: 'CREDENTIALS_AUDIENCE' });
    expect(
      await refusalOf(
        client.hoster.unary(HosterService.rpc_session_status, new Encoded(Buffer.alloc(0)), within),
      ),
    ).toMatchObject({ reason: 'KEY_UNKNOWN' });
  });

  test('a clock that is off is told the time, and corrected by it', async () => {
    const clock = off(-HOUR_MS);
    using strict = new RawClient(
      subnet,
      uncorrected(new SignatureAuthorizer({ key: key(), clock })),
    );
    const { metadata } = await refusalOf(strict.hoster.unary(info, {}, within));
    expect(Math.abs(Number(metadata['server_time_ms']) - Date.now())).toBeLessThan(10_000);
    using corrected = new RawClient(subnet, new SignatureAuthorizer({ key: key(), clock }));
    expect(await corrected.hoster.unary(info, {}, within)).toMatchObject({ draining: false });
  });

  test('a token that a client made for one hoster is of no use elsewhere', async () => {
    const minting = createClientAuthorizer(
      authConfigSchema.parse({
        ...{ mode: 'keys', scheme: 'bearer', key: subnetPaths(subnet.keys).key('client') },
      }),
    );
    let captured: Readonly<Record<string, string>> = {};
    using client = new RawClient(subnet, {
      ...headers({}),
      signRequest: async (request) => (captured = await minting.signRequest(request)),
    });
    expect(await client.hoster.unary(info, {}, within)).toMatchObject({ draining: false });
    expect(captured).toHaveProperty('authorization');
    using again = new RawClient(subnet, headers(captured));
    expect(await again.hoster.unary(info, {}, within)).toMatchObject({ draining: false });
    using elsewhere = new RawClient(subnet, headers(captured), 1);
    const refusal = { reason: 'CREDENTIALS_AUDIENCE' };
    expect(await refusalOf(elsewhere.hoster.unary(info, {}, within))).toMatchObject(refusal);
    const atRouter = elsewhere.router.unary(acquire, { model: 'g2p' }, within);
    expect(await refusalOf(atRouter)).toMatchObject(refusal);
  });

  test('a token of the issuer is good, and grants no more than it says', async () => {
    const token = await issueToken({
      folder: subnet.keys,
      subject: 'guest',
      audience: [...subnet.routers, ...subnet.hosters].map(({ address }) => address),
    });
    using client = new RawClient(subnet, headers({ authorization: `Bearer ${token}` }));
    expect(await client.hoster.unary(info, {}, within)).toMatchObject({ draining: false });
    const load = client.hoster.unary(HosterService.rpc_load_model, { model: 'g2p' }, within);
    expect(await refusalOf(load)).toMatchObject({ reason: 'PERMISSION_DENIED' });
    const drain = client.router.unary(RouterService.rpc_drain, { node_id: 'any' }, within);
    expect(await refusalOf(drain)).toMatchObject({ reason: 'PERMISSION_DENIED' });
    const register = client.router.unary(RouterService.rpc_register, { address: 'a:1' }, within);
    expect(await refusalOf(register)).toMatchObject({ reason: 'PERMISSION_DENIED' });
  });
});

describe('a ticket', () => {
  /** A lease on a hoster, and a client that dials that one. */
  async function lease(): Promise<{ client: RawClient; leased: v1.Lease__Output }> {
    using any = new RawClient(subnet);
    const { lease: leased } = await any.router.unary(acquire, { model: 'silero-vad' }, within);
    if (leased === null) throw new Error('no lease');
    const address = leased.node?.address;
    const at = subnet.hosters.findIndex((hoster) => hoster.address === address);
    return { client: new RawClient(subnet, 'client', at), leased };
  }

  const turn = (ticket: string, model = 'silero-vad'): v1.InferenceStreamRequest =>
    model === 'g2p' ? { model, ticket, prompt: 'a' } : { model, ticket, inputs: [audio()] };

  const ofLease = (leased: v1.Lease__Output, fields: Partial<Ticket> = {}): Ticket => ({
    leaseId: leased.lease_id,
    model: 'silero-vad',
    nodeId: leased.node?.node_id ?? '',
    incarnation: leased.node?.incarnation ?? '',
    principal: 'client',
    expiresMs: Date.now() + HOUR_MS,
    ...fields,
  });

  const bySubnet = (ticket: Ticket, member = 'router'): string =>
    signedTickets(key(member)).sign(ticket);

  test('as the router gave it is good', async () => {
    const { client, leased } = await lease();
    expect(await client.turn(turn(leased.ticket))).toHaveLength(2);
    client[Symbol.dispose]();
  });

  test.each<[string, (leased: v1.Lease__Output) => string]>([
    ['malformed', () => 'a free ride'],
    ['malformed', () => 'x'.repeat(100_000)],
    ['forged', ({ ticket }) => ticket.slice(0, -86) + 'A'.repeat(86)],
    ['forged', (leased) => swapPayload(leased.ticket, bySubnet(ofLease(leased)))],
    ['unknown_key', (leased) => bySubnet(ofLease(leased), 'client')],
    ['unknown_key', (leased) => signedTickets({ ...key('router'), id: 'x' }).sign(ofLease(leased))],
    ['other_model', (leased) => bySubnet(ofLease(leased, { model: 'g2p' }))],
    ['other_node', (leased) => bySubnet(ofLease(leased, { nodeId: 'elsewhere:1' }))],
    ['other_incarnation', (leased) => bySubnet(ofLease(leased, { incarnation: 'before' }))],
    ['other_principal', (leased) => bySubnet(ofLease(leased, { principal: 'admin' }))],
  ])('that is %s', async (problem, make) => {
    const { client, leased } = await lease();
    const ticket = make(leased);
    const expected = { reason: 'TICKET_INVALID', metadata: { problem } };
    expect(await client.refusal(turn(ticket))).toMatchObject(expected);
    const open = { open: { model: 'silero-vad', ticket } };
    expect(await client.streamRefusal([open])).toMatchObject(expected);
    // A hint only: without it the session opens all the same.
    expect(await client.turn(turn(''))).toHaveLength(2);
    client[Symbol.dispose]();
  });

  function swapPayload(into: string, from: string): string {
    const parts = into.split('~');
    parts[2] = from.split('~')[2] ?? '';
    return parts.join('~');
  }

  test('that is late is good: clocks differ, and the hoster decides', async () => {
    const { client, leased } = await lease();
    const late = bySubnet(ofLease(leased, { expiresMs: Date.now() - 600_000 }));
    expect(await client.turn(turn(late))).toHaveLength(2);
    client[Symbol.dispose]();
  });

  test('swapped for another model, hoster or client', async () => {
    const { client, leased } = await lease();
    const refusal = async (by: RawClient, model = 'silero-vad'): Promise<unknown> =>
      (await by.refusal(turn(leased.ticket, model))).metadata['problem'];
    expect(await refusal(client, 'g2p')).toBe('other_model');
    const other = subnet.hosters.findIndex(({ address }) => address !== client.hoster.address);
    using elsewhere = new RawClient(subnet, 'client', other);
    expect(await refusal(elsewhere)).toBe('other_node');
    await addMember({ folder: subnet.keys, name: 'thief', roles: ['client'] });
    using thief = new RawClient(subnet, 'thief', 1 - other);
    await until('the new key to be known', () => thief.hoster.unary(info, {}, within));
    expect(await refusal(thief)).toBe('other_principal');
    client[Symbol.dispose]();
  });
});

test('nothing else was harmed', () => unharmed.check());
