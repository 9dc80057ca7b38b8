/** The router as a service, over real sockets, with credentials. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  authConfigSchema,
  createClientAuthorizer,
  createTicketVerifier,
  generateSubnetKeys,
  subnetPaths,
} from '@cabstand/auth-admin';
import { sleep } from '@cabstand/core';
import { HealthService, RouterService, RpcClient, RpcServer } from '@cabstand/rpc';
import { ExitCode, superviseService } from '@cabstand/service';
import { pageFaults } from '@cabstand/testing';
import { routerProgram } from './program';
import type { AuthConfig } from '@cabstand/auth-admin';
import type { BidiStream, v1 } from '@cabstand/rpc';

let folder: string;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'router-test-'));
  const members = [
    { name: 'router', roles: ['router'] as const },
    { name: 'hoster', roles: ['hoster'] as const },
    { name: 'rival', roles: ['hoster'] as const },
    { name: 'client', roles: ['client'] as const },
    { name: 'admin', roles: ['admin', 'client'] as const },
  ];
  await generateSubnetKeys({ folder, members });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function authOf(member: string): AuthConfig {
  const paths = subnetPaths(folder);
  return authConfigSchema.parse({ mode: 'keys', keys: paths.keys, key: paths.key(member) });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

interface Running {
  readonly address: string;
  readonly admin: string;
  stop(): Promise<number>;
}

async function startRouter(port?: number, more: readonly string[] = []): Promise<Running> {
  const address = `127.0.0.1:${port ?? (await freePort())}`;
  const admin = `127.0.0.1:${await freePort()}`;
  const paths = subnetPaths(folder);
  const listeners = new Map<string, (...args: unknown[]) => void>();
  const flags = {
    listen: address,
    'admin-listen': admin,
    'auth-mode': 'keys',
    'auth-keys': paths.keys,
    'auth-key': paths.key('router'),
    'log-level': 'silent',
    'heartbeat-period-seconds': '0.2',
    'probes-interval-seconds': '0.1',
    'shutdown-seconds': '5',
  };
  const argv = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const write = (text: string): void => void process.stderr.write(text);
  const ended = superviseService(routerProgram, {
    argv: ['node', 'router', ...argv, ...more],
    env: {},
    stdout: { write },
    stderr: { write },
    on: (event, listener) => listeners.set(event, listener),
    off: (event) => listeners.delete(event),
  });
  let code: Promise<number> | undefined;
  const stop = (): Promise<number> => {
    if (code === undefined) {
      listeners.get('SIGTERM')?.('SIGTERM');
      code = ended;
    }
    return code;
  };
  cleanups.push(stop);
  await until(async () => (await fetch(`http://${admin}/readyz`)).status === 200);
  return { address, admin, stop };
}

async function until(holds: () => boolean | Promise<boolean>, ms = 8000): Promise<void> {
  const end = performance.now() + ms;
  for (;;) {
    try {
      if (await holds()) return;
    } catch {
      // Not yet.
    }
    if (performance.now() > end) throw new Error('waited in vain');
    await sleep(10);
  }
}

function connect(address: string, member: string): RpcClient {
  const client = new RpcClient(address, { authorizer: createClientAuthorizer(authOf(member)) });
  cleanups.push(() => client.close());
  return client;
}

/** A hoster as far as the router sees it: answers health checks, registers, sends heartbeats. */
class Hoster {
  readonly answers: v1.HeartbeatResponse__Output[] = [];
  readonly incarnation: string;
  beats: BidiStream<v1.HeartbeatRequest, v1.HeartbeatResponse__Output> | undefined;
  failure: unknown;
  #timer: NodeJS.Timeout | undefined;
  #server: RpcServer | undefined;

  constructor(
    readonly router: RpcClient,
    readonly address: string,
    incarnation = 'first',
  ) {
    this.incarnation = incarnation;
    cleanups.push(() => this.die());
  }

  async serve(): Promise<void> {
    this.#server = new RpcServer({ authorizer: createClientAuthorizer(authOf('hoster')) });
    const handlers = { Check: () => ({ status: 'SERVING' as const }) };
    this.#server.addService(HealthService, handlers, { open: true });
    await this.#server.listen(this.address);
  }

  async register(): Promise<v1.RegisterResponse__Output> {
    return this.router.unary(RouterService.rpc_register, {
      address: this.address,
      incarnation: this.incarnation,
      version: '0.1.0',
      models: [{ name: 'silero-vad', version: '1', capacity: 4, kind: 'stateful' }],
    });
  }

  beat(more: v1.HeartbeatRequest = {}): void {
    const { address, incarnation } = this;
    void this.beats?.send({ node_id: address, incarnation, ...more }).catch(() => undefined);
  }

  /** Beats until it dies, registering again when asked to. */
  start(): void {
    this.silence();
    const beats = (this.beats = this.router.bidi(RouterService.rpc_heartbeat));
    void (async () => {
      for await (const answer of beats.responses) {
        this.answers.push(answer);
        if (answer.reregister) await this.register();
      }
    })().catch((error: unknown) => (this.failure = error));
    this.beat();
    this.#timer = setInterval(() => this.beat(), 50);
  }

  /** Sends no more heartbeats of its own accord. */
  silence(): void {
    clearInterval(this.#timer);
  }

  async die(): Promise<void> {
    this.silence();
    this.router.close();
    await this.#server?.shutdown(0);
  }
}

async function startHoster(address: string): Promise<Hoster> {
  const hoster = new Hoster(connect(address, 'hoster'), `127.0.0.1:${await freePort()}`);
  await hoster.serve();
  await hoster.register();
  hoster.start();
  await until(() => hoster.answers.length > 0);
  return hoster;
}

/** Follows a watch; keeps the last state told of each node. */
function watch(client: RpcClient): { readonly states: string[]; error?: unknown } {
  const seen: { states: string[]; error?: unknown } = { states: [] };
  const request = { models: ['silero-vad'] };
  void (async () => {
    for await (const update of client.serverStream(RouterService.rpc_watch_nodes, request))
      for (const node of update.nodes) seen.states.push(node.state);
  })().catch((error: unknown) => (seen.error = error));
  return seen;
}

test('each metric says what it is and is there from the start, and refused callers are counted', async () => {
  const router = await startRouter();
  const page = async (): Promise<string> => (await fetch(`http://${router.admin}/metrics`)).text();
  const first = await page();
  expect(pageFaults(first)).toEqual([]);
  expect(first).toMatch(/^cabstand_handouts_total\{result="full".*\} 0$/m);
  expect(first).toMatch(/^cabstand_reservations_ended_total\{end="expired".*\} 0$/m);
  expect(first).toMatch(/^cabstand_nodes\{state="ONLINE".*\} 0$/m);
  expect(first).toMatch(
    /^cabstand_build_info\{version="[\d.]+",node="[\d.]+",onnxruntime="".*\} 1$/m,
  );
  const acquire = connect(router.address, 'hoster').unary(RouterService.rpc_acquire, {
    model: 'm',
  });
  await expect(acquire).rejects.toMatchObject({ reason: 'PERMISSION_DENIED' });
  const second = await page();
  expect(second).toMatch(/^cabstand_auth_refusals_total\{reason="PERMISSION_DENIED".*\} 1$/m);
  expect(second).toMatch(/^cabstand_auth_refusals_total\{reason="KEY_UNKNOWN".*\} 0$/m);
});

test('register, heartbeat, watch, acquire, consume, locate, report, drain, goodbye', async () => {
  const router = await startRouter();
  const hoster = await startHoster(router.address);
  const client = connect(router.address, 'client');
  const seen = watch(client);
  await until(() => seen.states.includes('NODE_STATE_ONLINE'));

  const { lease } = await client.unary(RouterService.rpc_acquire, { model: 'silero-vad' });
  expect(lease).toMatchObject({ node: { address: hoster.address, incarnation: 'first' } });
  const use = {
    model: 'silero-vad',
    nodeId: hoster.address,
    incarnation: 'first',
    principal: 'client',
  };
  const ticket = createTicketVerifier(authOf('hoster')).verify(lease?.ticket ?? '', use);
  expect(ticket.leaseId).toBe(lease?.lease_id);

  const metrics = async (): Promise<string> =>
    (await fetch(`http://${router.admin}/metrics`)).text();
  expect(await metrics()).toMatch(/^cabstand_reservations\{.*\} 1$/m);
  hoster.beat({
    consumed_lease_ids: [lease?.lease_id ?? ''],
    sessions_opened: [{ session_id: 's1', epoch: 3, principal: 'client' }],
  });
  await until(async () => /^cabstand_reservations\{.*\} 0$/m.test(await metrics()));
  expect(await metrics()).toMatch(/^cabstand_nodes\{state="ONLINE".*\} 1$/m);
  expect(await metrics()).toMatch(/^cabstand_handouts_total\{result="ok".*\} 1$/m);
  const { locations } = await client.unary(RouterService.rpc_locate, { session_id: 's1' });
  expect(locations).toMatchObject([{ epoch: 3, node: { node_id: hoster.address } }]);
  // Whoever else knows the id learns no more than of one that there is none of.
  const admin = connect(router.address, 'admin');
  for (const session_id of ['s1', 'none'])
    expect(await admin.unary(RouterService.rpc_locate, { session_id })).toEqual({ locations: [] });

  const evidence = { node_id: hoster.address, reason: 'NODE_STALLED' };
  await client.unary(RouterService.rpc_report, evidence);
  await until(async () => /^cabstand_probes_total\{result="ok".*\} 1$/m.test(await metrics()));

  await connect(router.address, 'admin').unary(RouterService.rpc_drain, {
    node_id: hoster.address,
    deadline: { seconds: 30, nanos: 0 },
  });
  await until(() => hoster.answers.some(({ drain }) => drain));
  await until(() => seen.states.includes('NODE_STATE_DRAINING'));
  hoster.silence();
  await hoster.router.unary(RouterService.rpc_deregister, {
    node_id: hoster.address,
    incarnation: 'first',
    reason: 'test over',
  });
  await until(() => seen.states.includes('NODE_STATE_OFFLINE'));
  await expect(
    client.unary(RouterService.rpc_acquire, { model: 'silero-vad' }),
  ).rejects.toMatchObject({ reason: 'NO_NODE', metadata: { offline: '1' } });
});

test('heartbeats on which there is nothing new to say are not answered', async () => {
  const router = await startRouter();
  const hoster = await startHoster(router.address);
  await until(() => hoster.answers.at(-1)?.state === 'NODE_STATE_ONLINE');
  hoster.silence();
  const before = hoster.answers.length;
  for (let i = 0; i < 20; i++) hoster.beat();
  hoster.beat({ draining: true });
  await until(() => hoster.answers.at(-1)?.state === 'NODE_STATE_DRAINING');
  expect(hoster.answers.length - before).toBe(1);
});

test('nobody without credentials, nobody in another’s role, nobody at another’s node', async () => {
  const router = await startRouter();
  const hoster = await startHoster(router.address);
  const stranger = new RpcClient(router.address);
  cleanups.push(() => stranger.close());
  await expect(stranger.unary(RouterService.rpc_acquire, { model: 'm' })).rejects.toMatchObject({
    reason: 'CREDENTIALS_MISSING',
  });
  const client = connect(router.address, 'client');
  const denied = { reason: 'PERMISSION_DENIED' };
  const registration = { address: 'x.test:1', incarnation: 'i' };
  await expect(client.unary(RouterService.rpc_register, registration)).rejects.toMatchObject(
    denied,
  );
  await expect(
    client.unary(RouterService.rpc_drain, { node_id: hoster.address }),
  ).rejects.toMatchObject(denied);
  await expect(
    hoster.router.unary(RouterService.rpc_acquire, { model: 'silero-vad' }),
  ).rejects.toMatchObject(denied);
  const rival = new Hoster(connect(router.address, 'rival'), hoster.address, 'rival');
  await expect(rival.register()).rejects.toMatchObject(denied);
  rival.start();
  await until(() => rival.answers.some(({ reregister }) => reregister));
});

test('a registration at an address that hosters may not give is refused, naming it and the setting', async () => {
  const router = await startRouter();
  const register = (address: string): Promise<unknown> =>
    new Hoster(connect(router.address, 'hoster'), address).register();
  await expect(register('169.254.169.254:80')).rejects.toMatchObject({
    reason: 'PERMISSION_DENIED',
    message: expect.stringMatching(/169\.254\.169\.254:80.*nodes\.allow/) as unknown,
  });
  await expect(register('[::ffff:169.254.169.254]:80')).rejects.toMatchObject({
    reason: 'PERMISSION_DENIED',
  });
  // The router itself listens on loopback.
  await expect(register('127.0.0.1:9')).resolves.toMatchObject({ node_id: '127.0.0.1:9' });
});

test('a hoster that is gone is suspect, probed and offline in no time', async () => {
  const router = await startRouter();
  const hoster = await startHoster(router.address);
  const seen = watch(connect(router.address, 'client'));
  await until(() => seen.states.includes('NODE_STATE_ONLINE'));
  const begin = performance.now();
  await hoster.die();
  await until(() => seen.states.includes('NODE_STATE_OFFLINE'));
  expect(performance.now() - begin).toBeLessThan(1500);
});

test('a hoster that lives but lost its stream is suspect until it beats again', async () => {
  const router = await startRouter(undefined, ['--heartbeat-offline-after-periods', '100']);
  const hoster = await startHoster(router.address);
  const seen = watch(connect(router.address, 'client'));
  await until(() => seen.states.includes('NODE_STATE_ONLINE'));
  hoster.beats?.cancel();
  await until(() => seen.states.includes('NODE_STATE_SUSPECT'));
  await sleep(300);
  expect(seen.states).not.toContain('NODE_STATE_OFFLINE');
  hoster.start();
  await until(() => seen.states.at(-1) === 'NODE_STATE_ONLINE');
});

test('a router that restarts empty knows its hosters again within two heartbeats', async () => {
  const port = await freePort();
  const first = await startRouter(port);
  const hoster = await startHoster(first.address);
  const seen = watch(connect(first.address, 'client'));
  await until(() => seen.states.includes('NODE_STATE_ONLINE'));
  expect(await first.stop()).toBe(ExitCode.OK);
  await until(() => seen.error !== undefined && hoster.failure !== undefined);
  // Long calls end with a clear status, not with a broken connection.
  expect(seen.error).toMatchObject({ reason: 'DRAINING' });
  expect(hoster.failure).toMatchObject({ reason: 'DRAINING' });

  const second = await startRouter(port);
  hoster.answers.length = 0;
  hoster.start();
  await until(() => hoster.answers.some(({ reregister }) => reregister));
  await until(() => hoster.answers.at(-1)?.state === 'NODE_STATE_ONLINE');
  const client = connect(second.address, 'client');
  await client.unary(RouterService.rpc_acquire, { model: 'silero-vad' });
});
