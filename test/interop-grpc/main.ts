/**
 * Runs the official interop clients of gRPC against the server of @cabstand/rpc. run.sh has built them, and gives
 * their folders. Exits with 1 if a case failed, with 3 if a client was not to be had.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { serverCredentials } from '@cabstand/auth';
import { generateSubnetKeys, subnetPaths } from '@cabstand/auth-admin';
import { RpcServer } from '@cabstand/rpc';
import type { CallObserver, RpcServerOptions } from '@cabstand/rpc';
import { ALSO, UNSEEN, WITH_TLS, sort } from './cases';
import { goClient, javaClient } from './clients';
import type { InteropClient, Target } from './clients';
import { echoing, handlers, testService } from './service';

interface Built {
  readonly go: string;
  /** Empty where there is no Java. */
  readonly java: string;
}

const DRAIN_MS = 10_000;

const counts = { passed: 0, failed: 0 };
const print = (text: string): void => void process.stdout.write(`${text}\n`);

async function check(name: string, act: () => Promise<string | undefined>): Promise<void> {
  const problem = await act().catch(String);
  counts[problem === undefined ? 'passed' : 'failed'] += 1;
  print(problem === undefined ? `ok      ${name}` : `FAILED  ${name}: ${problem}`);
}

/** Calls that a server took up, so that no case passes without one. */
let calls = 0;
const counting: CallObserver = {
  started: () => {
    calls += 1;
    return {
      messageSent: () => undefined,
      messageReceived: () => undefined,
      finished: () => undefined,
    };
  },
};

function newServer(options: Partial<RpcServerOptions> = {}): RpcServer {
  return new RpcServer({ authorizer: echoing, observers: [counting], ...options });
}

async function checkCase(client: InteropClient, name: string, target: Target): Promise<void> {
  const by = target.trust === undefined ? '' : ' with TLS';
  await check(`${client.language}: ${name}${by}`, async () => {
    const before = calls;
    const { code, said } = await client.run(name, target);
    if (code !== 0) return `it ended with ${String(code ?? 'no answer in time')}\n${said}`;
    if (calls === before && !UNSEEN.has(name)) return 'the server saw no call';
    return undefined;
  });
}

async function checkClient(client: InteropClient, servers: Servers, ca: string): Promise<void> {
  const { language } = client;
  const { run, notRun, unknown } = sort(client.help(), ALSO[language]);
  await check(`${language}: its cases are known`, () =>
    Promise.resolve(unknown.length === 0 ? undefined : unknown.join(', ')),
  );
  await check(`${language}: it notices what is wrong`, async () => {
    const { code } = await client.run('large_unary', { port: servers.empty, trust: undefined });
    return code === undefined || code === 0 ? 'it passes a server without the service' : undefined;
  });
  for (const name of run) await checkCase(client, name, { port: servers.plain, trust: undefined });
  const trust = client.trust(ca);
  for (const name of WITH_TLS) await checkCase(client, name, { port: servers.tls, trust });
  for (const { name, why } of notRun) print(`NOT RUN ${language}: ${name}: ${why}`);
}

/** By port. */
interface Servers {
  readonly plain: number;
  readonly tls: number;
  /** Has no service at all. */
  readonly empty: number;
}

async function main({ go, java }: Built): Promise<number> {
  const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-interop-grpc-'));
  const keys = subnetPaths(path.join(folder, 'keys'));
  await generateSubnetKeys({ folder: path.join(folder, 'keys') });
  const tls = serverCredentials({ cert: keys.cert('hoster'), key: keys.certKey('hoster') });
  const all = [newServer(), newServer({ credentials: tls }), newServer()] as const;
  const [plain, secured, empty] = all;
  const methods = testService(readFileSync(path.join(go, 'testing.binpb')));
  for (const server of [plain, secured]) server.addService(methods, handlers);
  try {
    const listen = (server: RpcServer): Promise<number> => server.listen('127.0.0.1:0');
    const servers = {
      plain: await listen(plain),
      tls: await listen(secured),
      empty: await listen(empty),
    };
    await checkClient(goClient(go), servers, keys.ca);
    if (java !== '') await checkClient(javaClient(java), servers, keys.ca);
  } finally {
    await check('nothing is left open, and the servers stop by themselves', async () => {
      const open = all.reduce((sum, server) => sum + server.openCalls, 0);
      const stopped = await Promise.all(all.map((server) => server.shutdown(DRAIN_MS)));
      return open === 0 && stopped.every(Boolean) ? undefined : `${String(open)} calls are open`;
    });
    rmSync(folder, { recursive: true });
  }
  if (java === '') print('NOT KNOWN: no case was run with the client of Java: there is none');
  print(`${String(counts.passed)} passed, ${String(counts.failed)} failed`);
  if (counts.failed > 0) return 1;
  return java === '' ? 3 : 0;
}

// What run.sh says.
void main(JSON.parse(process.argv[2] ?? '') as Built).then((code) => process.exit(code));
