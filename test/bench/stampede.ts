import { RemoteManager, SessionManager } from '@cabstand/client';
import { BUNDLED_MODELS, until } from '@cabstand/testing';
import { Rig } from '../faults/rig';
import { MODEL, Microphone, differences } from './microphone';
import { heading, print } from './report';
import { format, quantile } from './stats';

const CLIENTS = 200;
/** Streams that each survivor has already. */
const RESIDENTS = 20;
/** Sessions that share connections, a view of the subnet and a retry budget, as those of a process do. */
const SESSIONS_A_PROCESS = 10;
const PART_MS = 500;
const CALM_MS = 5000;
const RECOVERED_MS = 60_000;

/**
 * A hoster dies under many clients at once: how long until each of their streams flows again, and what
 * the streams of those hosters notice that take them in.
 */
export async function benchStampede(): Promise<void> {
  heading(
    'A hoster dies under many clients',
    `${String(CLIENTS)} live streams of ${MODEL} at it, ${String(RESIDENTS)} at each of 2 survivors; a record each ${String(PART_MS)} ms`,
  );
  await using rig = await Rig.start({
    hosters: 3,
    proxied: false,
    hosterConfig: {
      models: BUNDLED_MODELS,
      only: [MODEL],
      limits: { max_sessions_per_model: 256, max_sessions_per_principal: 1024 },
    },
  });
  const [victim, ...survivors] = rig.hosters;
  if (victim === undefined) throw new Error('no hoster');
  const clients: Clients[] = [];
  try {
    // With nobody else there, all of them come to one hoster, and none insists on it.
    for (const survivor of survivors) survivor.kill();
    await until('the others to be gone', async () => {
      const nodes = await rig.remote.nodes();
      return nodes.filter(({ state }) => state === 'online').length === 1 || undefined;
    });
    const struck = await Clients.start(rig, CLIENTS, []);
    clients.push(struck);
    await Promise.all(survivors.map((survivor) => survivor.mend()));
    await rig.known();
    for (const { address } of survivors)
      clients.push(await Clients.start(rig, RESIDENTS, [address]));
    await new Promise((resolve) => setTimeout(resolve, CALM_MS));
    const residents = clients.slice(1).flatMap(({ microphones }) => microphones);
    const calm = worstOf(residents);
    for (const { microphones } of clients) for (const one of microphones) one.forget();
    const at = performance.now();
    victim.kill('SIGKILL');
    await until(
      'every stream to flow again',
      () =>
        struck.microphones.every(
          ({ arrived, error }) => arrived.length > 0 || error !== undefined,
        ) || undefined,
      { timeoutMs: RECOVERED_MS },
    ).catch(() => undefined);
    const flowing = struck.microphones.flatMap(({ arrived }) =>
      arrived.slice(0, 1).map((time) => time - at),
    );
    const ended = clients
      .flatMap(({ microphones }) => microphones)
      .filter(({ error }) => error !== undefined);
    for (const { error } of ended.slice(0, 3)) console.log(' ', error);
    const ms = (value: number): string => `${format(value, 0)} ms`;
    print([
      {
        what: 'until a stream flowed again',
        value: `p50 ${ms(quantile(flowing, 0.5))}, p99 ${ms(quantile(flowing, 0.99))}, all after ${ms(Math.max(...flowing))}`,
        target: { text: `all ${String(CLIENTS)}`, met: flowing.length === CLIENTS },
      },
      {
        what: "longest gap of a survivor's own stream",
        value: `${ms(worstOf(residents))} (${ms(calm)} before)`,
      },
      {
        what: 'streams that ended',
        value: String(ended.length),
        target: { text: 'none', met: ended.length === 0 },
      },
    ]);
  } finally {
    await Promise.all(clients.map((one) => one.stop()));
  }
}

/** Streams of several processes of users, as far as they can be told from outside. */
class Clients {
  readonly microphones: Microphone[] = [];
  readonly #open: AsyncDisposable[] = [];

  static async start(rig: Rig, count: number, allow: readonly string[]): Promise<Clients> {
    const clients = new Clients();
    const { routerAddresses } = rig.subnet;
    while (clients.microphones.length < count) {
      const authorizer = rig.subnet.authorizer();
      const remote = new RemoteManager({ routers: routerAddresses, authorizer });
      const sessions = new SessionManager(remote);
      clients.#open.push(sessions, remote);
      for (let n = 0; n < SESSIONS_A_PROCESS; n++) {
        const session = sessions.session({ model: MODEL, allow });
        clients.microphones.push(new Microphone(session, PART_MS));
      }
    }
    await until(
      'the streams to flow',
      () => clients.microphones.every(({ times }) => times.length > 0) || undefined,
      {
        timeoutMs: RECOVERED_MS,
      },
    );
    return clients;
  }

  async stop(): Promise<void> {
    await Promise.all(this.microphones.map((one) => one.stop()));
    for (const one of this.#open) await one[Symbol.asyncDispose]();
  }
}

function worstOf(microphones: readonly Microphone[]): number {
  return Math.max(...microphones.flatMap(({ times }) => differences(times)));
}
