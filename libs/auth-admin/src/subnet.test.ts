import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileKeySet } from '@cabstand/auth';
import { FakeClock } from '@cabstand/core';
import { authConfigSchema } from './config';
import type { AuthConfigInput } from './config';
import {
  createClientAuthorizer,
  createServerAuthorizer,
  createTicketSigner,
  createTicketVerifier,
} from './create';
import { failure, incoming, metadata, outgoing } from './calls.fixture';
import { rotateKey } from './rotate';
import { generateSubnetKeys } from './subnet';
import { issueToken, writeClientToken } from './subnet-tokens';
import { subnetPaths } from './subnet-files';

let folder: string;
let clock: FakeClock;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'cabstand-auth-')), 'subnet');
  clock = new FakeClock(Date.now());
});
afterEach(() => {
  rmSync(join(folder, '..'), { recursive: true, force: true });
});

const make = (): Promise<string[]> => generateSubnetKeys({ folder, subnet: 'demo', clock });
const config = (input: AuthConfigInput) =>
  authConfigSchema.parse({ mode: 'keys', subnet: 'demo', ahead_seconds: 0, ...input });
const keysPath = () => subnetPaths(folder).keys;

function serverOf(name = 'router', input: AuthConfigInput = {}) {
  return createServerAuthorizer(
    config({ keys: keysPath(), key: subnetPaths(folder).key(name), ...input }),
    { audiences: [outgoing().audience], clock },
  );
}

function clientOf(name: string, input: AuthConfigInput = {}) {
  return createClientAuthorizer(config({ key: subnetPaths(folder).key(name), ...input }), {
    clock,
  });
}

async function call(
  client: ReturnType<typeof clientOf>,
  server = serverOf(),
  method = outgoing().method,
) {
  const request = outgoing({ method });
  return server.validateRequest(incoming(request, await client.signRequest(request)));
}

test('what was generated works: signature, own tokens, the client’s token', async () => {
  await make();
  const alice = { id: 'client', roles: new Set(['client']) };
  await expect(call(clientOf('client'))).resolves.toEqual(alice);
  await expect(call(clientOf('client', { scheme: 'bearer' }))).resolves.toEqual(alice);
  await writeClientToken(folder, [outgoing().audience], clock);
  const token = createClientAuthorizer(
    config({ token_file: subnetPaths(folder).token('client') }),
    { clock },
  );
  await expect(call(token)).resolves.toEqual(alice);
  expect((await failure(() => call(clientOf('hoster')))).reason).toBe('PERMISSION_DENIED');
  await call(clientOf('hoster'), serverOf(), '/cabstand.v1.RouterService/rpc_register');
  await call(clientOf('admin'), serverOf(), '/cabstand.v1.RouterService/rpc_drain');
});

test('a server can take one scheme only', async () => {
  await make();
  const server = serverOf('router', { accept: ['signature'] });
  expect((await failure(() => call(clientOf('client', { scheme: 'bearer' }), server))).reason).toBe(
    'CREDENTIALS_MISSING',
  );
});

test('a client that wants it gets proof of the server', async () => {
  await make();
  const client = clientOf('client', { keys: keysPath(), verify_servers: true });
  const request = outgoing();
  const received = incoming(request, await client.signRequest(request));
  const proof = metadata(await serverOf().signResponse(received));
  await client.validateResponse(request, proof);
  const impostor = metadata(await serverOf('hoster').signResponse(received));
  expect((await failure(() => client.validateResponse(request, impostor))).reason).toBe(
    'NODE_BAD_REPLY',
  );
});

test('tickets of the router pass at hosters, those of others do not', async () => {
  await make();
  const use = { model: 'm', nodeId: 'n', incarnation: 'i', principal: 'client' };
  const ticket = { ...use, leaseId: 'l', expiresMs: clock.now() + 1000 };
  const signer = (name: string) =>
    createTicketSigner(config({ key: subnetPaths(folder).key(name) }), { clock });
  const verifier = createTicketVerifier(config({ keys: keysPath() }), { clock });
  expect(verifier.verify(signer('router').sign(ticket), use)).toEqual(ticket);
  expect((await failure(() => verifier.verify(signer('client').sign(ticket), use))).reason).toBe(
    'TICKET_INVALID',
  );
});

test('only the owner reads secrets, and the public set holds none', async () => {
  const written = await make();
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  for (const path of written) {
    const secret = /\.key\.json$|\.token$|\.key$/.test(path);
    expect([path, (statSync(path).mode & 0o777).toString(8)]).toEqual([
      path,
      secret ? '600' : '644',
    ]);
  }
  expect(written).toHaveLength(
    readdirSync(folder).length - 1 + readdirSync(join(folder, 'tls')).length,
  );
  expect(readFileSync(keysPath(), 'utf8')).not.toContain('"d"');
});

test('a second run changes nothing, unless it is forced', async () => {
  await make();
  const before = readFileSync(keysPath(), 'utf8');
  const error = await failure(make);
  expect(error.message).toContain('exists already');
  expect(readFileSync(keysPath(), 'utf8')).toBe(before);
  await generateSubnetKeys({ folder, subnet: 'demo', overwrite: true, clock });
  expect(readFileSync(keysPath(), 'utf8')).not.toBe(before);
});

test('one file in the way and nothing is written', async () => {
  await make();
  rmSync(keysPath());
  await failure(make);
  expect(readdirSync(folder)).not.toContain('keys.json');
});

describe('rotation', () => {
  test('old and new key work side by side, without a restart, until the overlap is over', async () => {
    await make();
    const server = serverOf();
    const old = clientOf('client');
    await call(old, server);
    rotateKey({ folder, name: 'client', overlapMs: 60_000, clock });
    const young = clientOf('client');
    await clock.advance(5000);
    await expect(call(young, server)).resolves.toMatchObject({ id: 'client' });
    await expect(call(old, server)).resolves.toMatchObject({ id: 'client' });
    await clock.advance(55_001);
    await call(young, server);
    expect((await failure(() => call(old, server))).reason).toBe('CREDENTIALS_EXPIRED');
  });

  test('a new key is good at once where servers see the same file', async () => {
    await make();
    const server = serverOf();
    await clock.advance(4000);
    await call(clientOf('client'), server);
    rotateKey({ folder, name: 'client', clock });
    await expect(call(clientOf('client'), server)).resolves.toMatchObject({ id: 'client' });
  });

  test('a server without the new key says what to copy where', async () => {
    await make();
    const before = readFileSync(keysPath());
    rotateKey({ folder, name: 'client', clock });
    writeFileSync(keysPath(), before);
    const error = await failure(() => call(clientOf('client')));
    expect(error.reason).toBe('KEY_UNKNOWN');
    expect(error.message).toMatch(/client-.*copy the newest keys\.json to the server/);
  });

  test('a client without the server’s new key says what to copy where', async () => {
    await make();
    const before = readFileSync(keysPath());
    rotateKey({ folder, name: 'router', overlapMs: 0, clock });
    const young = serverOf();
    writeFileSync(keysPath(), before);
    const client = clientOf('client', { keys: keysPath(), verify_servers: true });
    const request = outgoing();
    const received = incoming(request, await client.signRequest(request));
    const proof = metadata(await young.signResponse(received));
    const error = await failure(() => client.validateResponse(request, proof));
    expect(error).toMatchObject({
      reason: 'NODE_BAD_REPLY',
      metadata: { problem: 'keys_outdated' },
    });
    expect(error.message).toMatch(
      /router-.*older than the server's, or the server was removed .*copy the newest keys\.json here/,
    );
  });

  test('without overlap the old key ends at once', async () => {
    await make();
    const old = clientOf('client');
    rotateKey({ folder, name: 'client', overlapMs: 0, clock });
    await clock.advance(1);
    expect((await failure(() => call(old))).reason).toBe('CREDENTIALS_EXPIRED');
  });

  test('keys that retired long ago are dropped, and never lengthened', async () => {
    await make();
    const ids = () =>
      (
        JSON.parse(readFileSync(keysPath(), 'utf8')) as {
          keys: { kid: string; principal: string }[];
        }
      ).keys
        .filter(({ principal }) => principal === 'client')
        .map(({ kid }) => kid);
    const [first] = ids();
    rotateKey({ folder, name: 'client', overlapMs: 1000, clock });
    rotateKey({ folder, name: 'client', overlapMs: 100_000, clock });
    expect(ids()).toHaveLength(3);
    await clock.advance(1001);
    const old = new FileKeySet(keysPath()).find(first ?? '');
    expect(old?.notAfterMs).toBeLessThan(clock.now());
    rotateKey({ folder, name: 'client', overlapMs: 0, clock });
    expect(ids()).not.toContain(first);
  });

  test('of the router keeps its tickets valid', async () => {
    await make();
    rotateKey({ folder, name: 'router', clock });
    const use = { model: 'm', nodeId: 'n', incarnation: 'i', principal: 'client' };
    const signer = createTicketSigner(config({ key: subnetPaths(folder).key('router') }), {
      clock,
    });
    const text = signer.sign({ ...use, leaseId: 'l', expiresMs: clock.now() + 1000 });
    createTicketVerifier(config({ keys: keysPath() }), { clock }).verify(text, use);
  });

  test('of nobody names who there is', async () => {
    await make();
    const error = await failure(() => rotateKey({ folder, name: 'nobody' }));
    expect(error.message).toContain('client');
  });
});

test('the issuer gives tokens to those without a key', async () => {
  await make();
  const token = await issueToken({
    folder,
    subject: 'guest',
    audience: [outgoing().audience],
    lifetimeMs: 60_000,
    clock,
  });
  const client = createClientAuthorizer(config({ token }), { clock });
  await expect(call(client)).resolves.toEqual({ id: 'guest', roles: new Set(['client']) });
});

test.each(['../evil', '.hidden', 'a/b', 'a:b', '', 'issuer', 'CA', 'seal'])(
  'member %j is refused, for it would be a file name',
  async (name) => {
    const error = await failure(() =>
      generateSubnetKeys({ folder, members: [{ name, roles: ['client'] }] }),
    );
    expect(error.reason).toBe('INVALID_ARGUMENT');
  },
);

describe('files that cannot be used', () => {
  test('are named with what is wrong, and their contents are not shown', async () => {
    await make();
    const path = subnetPaths(folder).key('client');
    const key = JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>;
    const other = JSON.parse(readFileSync(subnetPaths(folder).key('admin'), 'utf8')) as Record<
      string,
      string
    >;
    const cases: [string, string][] = [
      [`{"d": "${key['d']}", oops`, 'not JSON'],
      [JSON.stringify({ ...key, d: `${key['d']}!` }), ' d '],
      [JSON.stringify({ ...key, x: other['x'] }), 'x does not belong to d'],
      [JSON.stringify({ ...key, roles: ['root'] }), 'roles.0'],
    ];
    for (const [text, expected] of cases) {
      writeFileSync(path, text);
      const error = await failure(() => clientOf('client'));
      expect(error.message).toContain(path);
      expect(error.message).toContain(expected);
      expect(JSON.stringify([error.message, error.metadata])).not.toContain(key['d']);
    }
    rmSync(path);
    expect((await failure(() => clientOf('client'))).message).toContain('there is no such file');
  });

  test('a private key in the public set is refused', async () => {
    await make();
    const set = JSON.parse(readFileSync(keysPath(), 'utf8')) as { keys: Record<string, unknown>[] };
    Object.assign(set.keys[0] ?? {}, { d: 'A'.repeat(43) });
    writeFileSync(keysPath(), JSON.stringify(set));
    expect((await failure(() => serverOf())).message).toContain('keys.0.d');
  });

  test('a broken change is reported, and the keys of before stay in force', async () => {
    await make();
    const problems: string[] = [];
    const server = createServerAuthorizer(config({ keys: keysPath() }), {
      audiences: [outgoing().audience],
      clock,
      onProblem: (error) => problems.push(error.message),
    });
    const client = clientOf('client');
    writeFileSync(keysPath(), '{"keys": [');
    // Nobody calls meanwhile.
    await clock.advance(5000);
    expect(problems).toEqual([`${keysPath()}: not JSON`]);
    await call(client, server);
    expect(problems).toHaveLength(1);
  });
});
