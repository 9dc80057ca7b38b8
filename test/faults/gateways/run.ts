import { setMaxListeners } from 'node:events';
import { subnetPaths } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { sleep } from '@cabstand/core';
import { Subnet } from '@cabstand/testing';
import { check } from '../checker';
import { drive } from '../drive';
import { inflict } from '../inflict';
import { TestNode } from '../node';
import { Random } from '../random';
import { HOSTER_CONFIG } from '../run';
import type { RunOptions } from '../run';
import { GATEWAY_WEIGHTS, dueKinds, nextStep } from '../schedule';
import { makeScript } from '../scripts';
import type { Script, ScriptKind } from '../scripts';
import { Stream } from '../stream';
import type { Observation } from '../stream';
import { Summary } from '../summary';
import { EventCaller, GrpcCaller } from './callers';
import type { TwoGateways } from './callers';
import { GatewayNode } from './node';
import { GatewayStream } from './stream';

/** Those whose input is whole: parts that a dead gateway took, nobody has. */
const KINDS: readonly ScriptKind[] = ['vad', 'accumulator', 'g2p', 'counter'];
const SCRIPTS_EACH = 6;
const POLL_MS = 20;
/** Of the streams one in so many flows through a gateway before it is killed. */
const FLOWING_SHARE = 6;
/** Hosters die too, and with all of them down nothing would go on. */
const HOSTERS = 3;

type GatewayRunOptions = Pick<
  RunOptions,
  'seed' | 'faults' | 'streams' | 'limitMs' | 'signal' | 'progress'
>;

/** Kills one of two gateways, again and again, under callers that have both addresses; and hosters now and then. */
export async function runGatewaySchedule(options: GatewayRunOptions): Promise<Summary> {
  await using subnet = await Subnet.start({
    ...{ hosters: HOSTERS, routers: 1, proxied: true, readyMs: 120_000 },
    hosterConfig: HOSTER_CONFIG,
  });
  const timeouts = { recover_seconds: 120, place_seconds: 60 };
  await using one = await GatewayNode.start(subnet, 'gateway-1', { timeouts });
  await using other = await GatewayNode.start(subnet, 'gateway-2', { timeouts });
  const gateways = [one, other];
  const keyFile = subnetPaths(subnet.keys).key('client');
  using grpc = new GrpcCaller(gateways, keyFile);
  const callers = [grpc, new EventCaller(gateways, keyFile)];
  const authorizer = subnet.authorizer();
  await using remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  await using sessions = new SessionManager(remote, {});
  return await new GatewayRun(subnet, gateways, callers, options).run(sessions);
}

class GatewayRun {
  readonly #gateways: readonly GatewayNode[];
  readonly #callers: readonly TwoGateways[];
  readonly #options: GatewayRunOptions;
  readonly #hosters: readonly TestNode[];
  readonly #running = new Set<GatewayStream>();
  readonly #mending = new Set<Promise<void>>();
  readonly #due: ReturnType<typeof dueKinds>;
  readonly #summary: Summary;
  readonly #abort = new AbortController();
  #closing = false;

  constructor(
    subnet: Subnet,
    gateways: readonly GatewayNode[],
    callers: readonly TwoGateways[],
    options: GatewayRunOptions,
  ) {
    this.#gateways = gateways;
    this.#callers = callers;
    this.#options = options;
    this.#hosters = subnet.hosters.map((_, i) => new TestNode(subnet, 'hoster', i));
    this.#due = dueKinds(options.faults, GATEWAY_WEIGHTS);
    this.#summary = new Summary(options.seed, options.faults, this.#due.slice());
    setMaxListeners(0, this.#abort.signal);
  }

  run(sessions: SessionManager): Promise<Summary> {
    const { faults, streams = 16, limitMs = 120_000 + 12_000 * faults } = this.#options;
    return drive(
      { ...this.#options, streams, limitMs },
      {
        summary: this.#summary,
        abort: this.#abort,
        mending: this.#mending,
        references: () => this.#references(sessions),
        slot: (slot, references) => this.#slot(slot, references),
        step: (random) => this.#step(random),
        close: () => {
          this.#closing = true;
        },
      },
    );
  }

  get #over(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Each script once, undisturbed, at a hoster. */
  async #references(sessions: SessionManager): Promise<ReadonlyMap<Script, Observation>> {
    const scripts = KINDS.flatMap((kind) =>
      Array.from({ length: SCRIPTS_EACH }, (_, number) => makeScript(kind, number)),
    );
    const { signal } = this.#abort;
    const observed = await Promise.all(
      scripts.map(async (script) => {
        const observation = await new Stream(script, { signal }).run(sessions);
        for (const { end } of observation.turns) if (end.kind === 'failed') throw end.error;
        return [script, observation] as const;
      }),
    );
    return new Map(observed);
  }

  async #slot(slot: number, references: ReadonlyMap<Script, Observation>): Promise<void> {
    const random = new Random(this.#options.seed * 1009 + slot);
    const scripts = [...references];
    while (!this.#closing && !this.#over) {
      const [script, reference] = random.pick(scripts);
      const stream = new GatewayStream(script, this.#callers[slot % this.#callers.length]!, {
        ...{ gateway: random.int(0, 1), readMs: random.pick([0, 5, 10, 20]) },
        signal: this.#abort.signal,
      });
      this.#running.add(stream);
      try {
        for await (const { observation, again } of stream.run()) {
          const verdict = check(observation, reference);
          // Cut short by the run's end: nothing to judge.
          if (this.#abort.signal.aborted) break;
          if (again) this.#summary.begunAnew(verdict, stream);
          else this.#summary.stream(verdict, stream);
        }
      } finally {
        this.#running.delete(stream);
      }
    }
  }

  async #step(random: Random): Promise<void> {
    const { signal } = this.#abort;
    const step = nextStep(random, HOSTERS, GATEWAY_WEIGHTS, this.#due.shift());
    const { fault, afterMs, order } = step;
    await sleep(afterMs, signal).catch(() => undefined);
    while (!signal.aborted) {
      const struck =
        fault.kind === 'kill-gateway'
          ? this.#killGateway(fault.downMs, random)
          : this.#hurtHoster(fault, order);
      if (struck !== undefined) {
        const at = performance.now();
        this.#summary.hit(fault.kind, struck);
        for (const stream of struck)
          stream.onNextRecord((next) => this.#summary.gap(fault.kind, next - at));
        return;
      }
      await sleep(POLL_MS, signal).catch(() => undefined);
    }
  }

  /** Streams that flowed through it; undefined where the other one is down, or few did. */
  #killGateway(downMs: number, random: Random): readonly GatewayStream[] | undefined {
    if (!this.#gateways.every(({ whole }) => whole)) return undefined;
    const victim = random.int(0, 1);
    const struck = this.#flowing.filter(({ gateway }) => gateway === victim);
    if (struck.length < this.#running.size / FLOWING_SHARE) return undefined;
    this.#mend(this.#gateways[victim]!.killAndRestart(downMs, this.#abort.signal), 'a gateway');
    return struck;
  }

  #hurtHoster(
    fault: Parameters<typeof inflict>[0],
    order: readonly number[],
  ): readonly GatewayStream[] | undefined {
    const whole = order.map((i) => this.#hosters[i]!).filter((hoster) => hoster.whole);
    const struck = this.#flowing;
    const [hoster] = whole;
    if (hoster === undefined || whole.length < 2 || struck.length === 0) return undefined;
    const { mended } = inflict(fault, {
      ...{ hoster, hosters: this.#hosters, routers: [], model: '', signal: this.#abort.signal },
      finding: (what) => this.#summary.findings.push(what),
    });
    this.#mend(mended, hoster.name);
    return struck;
  }

  get #flowing(): GatewayStream[] {
    return [...this.#running].filter(({ flowing }) => flowing);
  }

  #mend(mended: Promise<void>, what: string): void {
    const settled = mended
      .catch((error: unknown) => {
        if (this.#over) return;
        this.#summary.findings.push(`${what}: ${String(error)}`);
        // Without it no further fault strikes.
        this.#abort.abort(error);
      })
      .finally(() => this.#mending.delete(settled));
    this.#mending.add(settled);
  }
}
