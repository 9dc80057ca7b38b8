/** Whole durable sessions of one short turn: how many a second, and what each costs every process. */
import { loadavg } from 'node:os';
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { Subnet } from '@cabstand/testing';
import { cpuSeconds } from '../support/processes';
import { span } from './peers/figures';
import { heading, print } from './report';
import { format, quantile } from './stats';

export interface ShortBench {
  /** Length of a trial. */
  readonly seconds: number;
  /** Of each way to authenticate, in turns. */
  readonly trials: number;
}

const MODEL = 'g2p';
const PROMPT = 'taxi';
/** Sessions at once. */
const AT_ONCE = 8;
const WARM_UP_SECONDS = 1.5;
/** How callers prove who they are: a signature for each call, a MAC by a key agreed under one, or a token for many. */
const SCHEMES = {
  signature: { title: 'Each call signed', auth: { scheme: 'signature', mac_key_seconds: 0 } },
  mac: { title: 'With MACs, agreed under a signature', auth: { scheme: 'signature' } },
  bearer: { title: 'With a token', auth: { scheme: 'bearer' } },
} as const;
type Scheme = keyof typeof SCHEMES;
const ALL = Object.keys(SCHEMES) as Scheme[];

interface Trial {
  readonly perSecond: number;
  /** Milliseconds of processor a session. */
  readonly client: number;
  readonly hoster: number;
  readonly router: number;
  /** Milliseconds from opening to closed. */
  readonly times: readonly number[];
}

/** Sessions of one caller; its connections and tokens are kept. */
class Caller implements AsyncDisposable {
  readonly #subnet: Subnet;
  readonly #remote: RemoteManager;
  readonly #sessions: SessionManager;

  constructor(subnet: Subnet, scheme: Scheme) {
    this.#subnet = subnet;
    const config = authConfigSchema.parse({
      ...subnet.authConfig('client'),
      ...SCHEMES[scheme].auth,
    });
    const authorizer = createClientAuthorizer(config);
    this.#remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
    this.#sessions = new SessionManager(this.#remote);
  }

  async run(seconds: number): Promise<Trial> {
    const pids = [...this.#subnet.hosters, ...this.#subnet.routers].map(({ child }) => child.pid);
    const before = pids.map(cpuSeconds);
    const own = process.cpuUsage();
    const begun = performance.now();
    const end = begun + seconds * 1000;
    const times: number[] = [];
    const loop = async (): Promise<void> => {
      while (performance.now() < end) times.push(await this.#session());
    };
    await Promise.all(Array.from({ length: AT_ONCE }, loop));
    const elapsed = (performance.now() - begun) / 1000;
    const { user, system } = process.cpuUsage(own);
    const [hoster = NaN, router = NaN] = pids.map(
      (pid, i) => ((cpuSeconds(pid) - (before[i] ?? NaN)) * 1000) / times.length,
    );
    const client = (user + system) / 1000 / times.length;
    return { perSecond: times.length / elapsed, client, hoster, router, times };
  }

  async #session(): Promise<number> {
    const begun = performance.now();
    await using session = this.#sessions.session({ model: MODEL });
    const turn = session.runProtocolTask(PROMPT);
    while ((await turn.next()).done !== true);
    await session.close();
    return performance.now() - begun;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sessions.close();
    await this.#remote.close();
  }
}

export async function benchShort({ seconds, trials }: ShortBench): Promise<void> {
  heading(
    'Short durable sessions',
    `${MODEL}, one turn each, ${String(AT_ONCE)} at once; router, hoster, its engine and the client share all cores; ` +
      `${String(trials)} trials in turns of ${String(seconds)} s; load average ${format(loadavg()[0] ?? NaN, 1)} before`,
  );
  await using subnet = await Subnet.start({ hosters: 1, hosterConfig: { only: [MODEL] } });
  const seen = new Map<Scheme, Trial[]>(ALL.map((scheme) => [scheme, []]));
  await using signature = new Caller(subnet, 'signature');
  await using mac = new Caller(subnet, 'mac');
  await using bearer = new Caller(subnet, 'bearer');
  const callers = { signature, mac, bearer };
  for (const scheme of ALL) await callers[scheme].run(WARM_UP_SECONDS);
  for (let trial = 0; trial < trials; trial++)
    for (const scheme of ALL) seen.get(scheme)?.push(await callers[scheme].run(seconds));
  for (const scheme of ALL) report(scheme, seen.get(scheme) ?? []);
}

function report(scheme: Scheme, all: readonly Trial[]): void {
  const of = (pick: (trial: Trial) => number, digits: number): string =>
    span(all.map(pick), digits);
  const rate = quantile(
    all.map(({ perSecond }) => perSecond),
    0.5,
  );
  heading(SCHEMES[scheme].title);
  print([
    {
      what: 'sessions a second',
      value: of(({ perSecond }) => perSecond, 0),
      ...(scheme === 'signature' ? { target: { text: 'at least 350', met: rate >= 350 } } : {}),
    },
    { what: 'client, ms of processor a session', value: of(({ client }) => client, 2) },
    { what: 'hoster, main process', value: of(({ hoster }) => hoster, 2) },
    { what: 'router', value: of(({ router }) => router, 2) },
    { what: 'from opening to closed, p50 ms', value: of(({ times }) => quantile(times, 0.5), 1) },
    { what: 'p99', value: of(({ times }) => quantile(times, 0.99), 1) },
  ]);
}
