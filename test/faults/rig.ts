import { RemoteManager, SessionManager, channelCredentials } from '@cabstand/client';
import { Subnet, until } from '@cabstand/testing';
import type { SubnetOptions } from '@cabstand/testing';
import { check } from './checker';
import type { Verdict } from './checker';
import { TestNode } from './node';
import { HOSTER_CONFIG } from './run';
import type { Script } from './scripts';
import { Stream } from './stream';
import type { Observation, StreamOptions } from './stream';

/** A stream that was disturbed on purpose, beside its undisturbed run. */
export interface Outcome extends Verdict {
  readonly stream: Stream;
  /** Longest time between two records of a turn, in milliseconds. */
  readonly longestGapMs: number;
}

/** A subnet whose parts can be hurt one by one, and a client of it. */
export class Rig implements AsyncDisposable {
  readonly subnet: Subnet;
  readonly remote: RemoteManager;
  readonly sessions: SessionManager;
  readonly hosters: readonly TestNode[];
  readonly routers: readonly TestNode[];
  readonly #references = new Map<string, Observation>();

  private constructor(subnet: Subnet) {
    this.subnet = subnet;
    const authorizer = subnet.authorizer();
    const connection = {
      authorizer,
      credentials: channelCredentials(subnet.clientTls),
    };
    this.remote = new RemoteManager({ routers: subnet.routerAddresses, ...connection });
    this.sessions = new SessionManager(this.remote);
    this.hosters = subnet.hosters.map((_, i) => new TestNode(subnet, 'hoster', i));
    this.routers = subnet.routers.map((_, i) => new TestNode(subnet, 'router', i));
  }

  static async start(options: SubnetOptions = {}): Promise<Rig> {
    const subnet = await Subnet.start({
      hosters: 2,
      routers: 2,
      proxied: true,
      readyMs: 120_000,
      ...options,
      hosterConfig: { ...HOSTER_CONFIG, ...options.hosterConfig },
    });
    const rig = new Rig(subnet);
    await rig.known();
    return rig;
  }

  /** Waits until the client knows every hoster. */
  async known(): Promise<void> {
    await until('every hoster to be known', async () => {
      const online = (await this.remote.nodes()).filter(({ state }) => state === 'online');
      return online.length === this.hosters.length || undefined;
    });
  }

  /** The hoster at which a session is. */
  hosterOf(session: { readonly node: { readonly address: string } | undefined }): TestNode {
    const hoster = this.hosters.find(({ address }) => address === session.node?.address);
    if (hoster === undefined) throw new Error('no hoster has the session');
    return hoster;
  }

  async reference(script: Script): Promise<Observation> {
    const known =
      this.#references.get(script.name) ?? (await new Stream(script).run(this.sessions));
    this.#references.set(script.name, known);
    for (const { end } of known.turns) if (end.kind === 'failed') throw end.error;
    return known;
  }

  /** Runs a script while `options.at` does its worst, and compares it. */
  async disturbed(
    script: Script,
    options: StreamOptions,
    sessions: SessionManager = this.sessions,
  ): Promise<Outcome> {
    const reference = await this.reference(script);
    let longestGapMs = 0;
    let last: number | undefined;
    const stream = new Stream(script, {
      ...options,
      at: async (point) => {
        const now = performance.now();
        if (point.chunks > 1 && last !== undefined)
          longestGapMs = Math.max(longestGapMs, now - last);
        await options.at?.(point);
        last = performance.now();
      },
    });
    const observation = await stream.run(sessions);
    return { ...check(observation, reference), stream, longestGapMs };
  }

  /** Heals the network, and starts what is down again. */
  async mend(): Promise<void> {
    const nodes = [...this.routers, ...this.hosters];
    for (const { proxy } of nodes) proxy?.heal();
    await Promise.all(nodes.map((node) => node.mend()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sessions.close();
    await this.remote.close();
    await this.subnet.stop();
  }
}
