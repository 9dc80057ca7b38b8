/** What `cabstand keys` makes and says, done step by step under a subnet with TLS that is in use. */
import { cpSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { channelCredentials } from '@cabstand/auth';
import { readSealKeys, subnetPaths } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';
import { HosterService, RpcClient } from '@cabstand/rpc';
import { float32Of } from '@cabstand/tensor';
import { Child, REPOSITORY_ROOT, Subnet, TEST_MODELS, freePorts, until } from '@cabstand/testing';

const MODEL = 'accumulator';
const CLI = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');
const HOSTER = path.join(REPOSITORY_ROOT, 'services/hoster/dist/main.js');

let subnet: Subnet;
beforeAll(async () => {
  subnet = await Subnet.start({
    tls: true,
    verifyServers: true,
    hosters: 1,
    models: TEST_MODELS,
    hosterConfig: { only: [MODEL] },
  });
}, 60_000);
afterAll(() => subnet.stop());

/** Runs `cabstand keys …` on the folder that router, hoster and client of the subnet use. */
async function keys(...args: string[]): Promise<string> {
  await using child = new Child('keys', [CLI, 'keys', ...args, '--out', subnet.keys]);
  expect({ args, ...(await child.exited), output: child.output }).toMatchObject({ code: 0 });
  return child.output;
}

const rpcOptions = (member: string) => {
  const { ca, cert, certKey } = subnetPaths(subnet.keys);
  const tls = { ca, cert: cert(member), key: certKey(member) };
  return { authorizer: subnet.authorizer(member), credentials: channelCredentials(tls) };
};

/** A client with the key as it is in the folder now. */
class Caller implements AsyncDisposable {
  readonly remote: RemoteManager;
  readonly sessions: SessionManager;

  constructor(member = 'client') {
    const options = rpcOptions(member);
    this.remote = new RemoteManager({ routers: subnet.routerAddresses, ...options });
    this.sessions = new SessionManager(this.remote, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sessions.close();
    await this.remote.close();
  }
}

/** Another machine, with a folder of its own and the hoster that `keys add` told how to start. */
class Machine implements AsyncDisposable {
  readonly #root = path.join(subnet.folder, 'elsewhere');
  #child: Child | undefined;

  /** Copies files of the folder, modes and all, as `scp -p` does. */
  copy(...files: readonly string[]): void {
    for (const file of files) {
      const target = path.join(this.#root, 'keys', file);
      mkdirSync(path.dirname(target), { recursive: true });
      cpSync(path.join(subnet.keys, file), target, { preserveTimestamps: true });
    }
  }

  async start(command: string, replace: Readonly<Record<string, string>>): Promise<void> {
    await this.#child?.stop();
    let text = command;
    for (const [from, to] of Object.entries(replace)) text = text.replaceAll(from, to);
    const [, , ...flags] = text.replaceAll('\\\n', ' ').trim().split(/\s+/);
    const args = flags.map((flag) =>
      flag.startsWith('keys/') ? path.join(this.#root, flag) : flag,
    );
    this.#child = new Child('hoster-b', [HOSTER, ...args, '--only', MODEL]);
  }

  get output(): string {
    return this.#child?.output ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.stop();
  }
}

/** Adds up ones, one record for each; answers the last sum. */
async function addUp(session: Session, count: number): Promise<number> {
  let sum = NaN;
  const signal = new Float32Array(4 * count).fill(1);
  for await (const chunk of session.runProtocolTask(undefined, { signal }))
    sum = float32Of(chunk.tensor('sum'))[0] ?? NaN;
  return sum;
}

test('a hoster joins, certificate, keys and seal key are changed, and no call and no session is lost', async () => {
  await using caller = new Caller();
  await using session = caller.sessions.session({ model: MODEL });
  expect(await addUp(session, 100)).toBe(100);

  // A second hoster, from nothing but what the command prints.
  const printed = await keys('add', 'hoster-b', '--role', 'hoster', '--host', '127.0.0.2');
  const steps = printed.slice(printed.indexOf('Next:'));
  const command = /cabstand hoster [^]*?hoster-b\.key$/m.exec(steps)?.[0] ?? '';
  const toCopy = /-p\):\n([^\n]*)\n/.exec(steps)?.[1]?.trim().split(' ') ?? [];
  await using machine = new Machine();
  machine.copy(...toCopy.map((file) => path.relative(subnet.keys, file)));
  const [port = 0, admin = 0] = await freePorts(2);
  const start = () =>
    machine.start(
      `${command} --admin-listen 127.0.0.1:${admin} --auth-audiences 127.0.0.3:${port}`,
      {
        [`${path.basename(subnet.keys)}/`]: 'keys/',
        '50051': String(port),
        'ROUTER:50050': subnet.routerAddresses[0]!,
        MODELS: TEST_MODELS,
      },
    );
  // The list of nodes may still show the process of before.
  let before = '';
  const online = (): Promise<true> =>
    until(
      'hoster-b to be online',
      async () => {
        const nodes = await caller.remote.nodes();
        const node = nodes.find(({ address }) => address === `127.0.0.2:${port}`);
        if (node?.state !== 'online' || node.incarnation === before) return undefined;
        before = node.incarnation;
        return true;
      },
      { timeoutMs: 20_000, explain: () => machine.output },
    );
  await start();
  await online();

  const infoBy = async (host: string, member = 'client'): Promise<unknown> => {
    const client = new RpcClient(`${host}:${port}`, rpcOptions(member));
    try {
      return await client.unary(HosterService.rpc_info, {}, { timeoutMs: 5000 });
    } finally {
      client.close();
    }
  };
  await expect(infoBy('127.0.0.2')).resolves.toBeDefined();
  await expect(infoBy('127.0.0.3')).rejects.toMatchObject({
    metadata: { connection: 'server_name' },
    message: expect.stringContaining('keys cert NAME --host 127.0.0.3') as string,
  });

  // Calls go on all the while, with the key of before and with the newest.
  let calls = 0;
  const done = new AbortController();
  const failures: unknown[] = [];
  const calling = (async () => {
    while (!done.signal.aborted)
      try {
        await caller.remote.info(subnet.hosters[0]!.address);
        await using newest = new Caller();
        await newest.remote.nodes();
        calls += 2;
      } catch (error) {
        failures.push(error);
      } finally {
        // Not all of the machine, not even where calls fail at once.
        await setTimeout(10);
      }
  })();
  await keys('rotate', 'client');
  await keys('rotate', 'hoster-b');
  await keys('cert', 'hoster-b', '--host', '127.0.0.3');
  machine.copy('keys.json');
  machine.copy('hoster-b.key.json', 'tls/hoster-b.crt', 'tls/hoster-b.key');
  await start();
  await online();
  await expect(infoBy('127.0.0.3')).resolves.toBeDefined();
  done.abort();
  await calling;
  expect(failures).toEqual([]);
  expect(calls).toBeGreaterThan(10);

  // From now on the first hoster seals with a key that the second one has to read while it runs.
  await keys('rotate', 'seal', '--begins', '0', '--force');
  machine.copy('seal.key.json');
  const newest = readSealKeys(subnetPaths(subnet.keys).seal).at(-1)?.id ?? '';
  let sum = 100;
  await until('a checkpoint under the new key', async () => {
    expect(await addUp(session, 100)).toBe((sum += 100));
    return sealedWith(session, newest) ? true : undefined;
  });
  expect(session.node?.address).toBe(subnet.hosters[0]!.address);
  subnet.hosters[0]!.child.kill('SIGKILL');
  expect(await addUp(session, 100)).toBe(sum + 100);
  expect(session.node?.address).toBe(`127.0.0.2:${port}`);
}, 60_000);

/** Whether the checkpoint that the session's client holds names the key. */
function sealedWith(session: Session, id: string): boolean {
  const handle = session.export();
  const text = Buffer.from(handle.slice(handle.lastIndexOf('.') + 1), 'base64url').toString();
  return [...text.matchAll(/"base64":"([^"]*)"/g)].some(([, bytes = '']) =>
    Buffer.from(bytes, 'base64').toString('latin1').includes(id),
  );
}
