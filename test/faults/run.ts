import { setMaxListeners } from 'node:events';
import { subnetPaths } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { sleep } from '@cabstand/core';
import { BUNDLED_MODELS, LANGUAGE_MODELS, Subnet, TEST_MODELS } from '@cabstand/testing';
import { Gateway } from '../support/gateway';
import { check } from './checker';
import { inflict } from './inflict';
import { checkRide } from './lineage';
import { RIDE_KINDS, comparedOf, isAnswer, isRide, modelsOf } from './kinds';
import type { RideKind, StreamKind } from './kinds';
import { checkAnswers } from './language-models/check';
import { CLASSES, ModuleRepository, walkOf } from './module-models';
import { TestNode } from './node';
import { drive } from './drive';
import { Random } from './random';
import { Ride } from './ride';
import { WEIGHTS, dueKinds, nextStep } from './schedule';
import type { Fault, FaultKind } from './schedule';
import { PlainCaller, PlainStream } from './plain-stream';
import { SCRIPT_KINDS, SCRIPT_MODELS } from './scripts';
import type { Script } from './scripts';
import { Stream } from './stream';
import type { Observation, StreamOptions } from './stream';
import { Summary } from './summary';
import type { Watched } from './watched';

export interface RunOptions {
  /** The same seed draws the same faults, scripts and paces. */
  readonly seed: number;
  /** How many faults must hit a running stream. */
  readonly faults: number;
  /** Streams at once. Default 32. */
  readonly streams?: number;
  /** Kinds of streams, each as often as the others. Default: all of models and, without a gateway, of modules. */
  readonly kinds?: readonly StreamKind[];
  /**
   * `gateway`: streams are those of plain callers of a gateway, which know nothing but the contract; of models only.
   * Default: those of the client library.
   */
  readonly through?: 'gateway';
  /** Default 3. */
  readonly hosters?: number;
  /** Default 2. */
  readonly routers?: number;
  readonly weights?: Readonly<Record<FaultKind, number>>;
  /** Gives up after this. Default 2 minutes and 6 seconds for each fault. */
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
  /** Told now and then how far it is. */
  readonly progress?: (summary: Summary) => void;
}

/** Different scripts of each kind; streams use them over and over. */
const SCRIPTS_EACH = 6;
/** A stream that gets nothing for this long is stuck: nothing here takes longer to mend. */
const STUCK_MS = 150_000;
/** A stream runs on a hoster if it got a record from it within this time. */
const FLOWING_MS = 1500;
/** Of the streams one in so many flows before the next fault. */
const FLOWING_SHARE = 4;
const WAIT_FOR_VICTIM_MS = 30_000;
const POLL_MS = 20;
const MAX_RIDE_SEED = 1_000_000;

/** What the hosters of a fault run are configured with; small journals keep engines close to readers. */
export const HOSTER_CONFIG = {
  models: [BUNDLED_MODELS, TEST_MODELS, LANGUAGE_MODELS],
  only: [...SCRIPT_MODELS],
  shutdown_seconds: 15,
  limits: { journal_records: 48 },
  // As many deaths as the schedule likes.
  engines: { crashes: 1_000_000 },
};

/** Runs a random schedule of faults against a subnet of its own, and checks every stream. */
export async function runSchedule(options: RunOptions): Promise<Summary> {
  const { hosters = 3, routers = 2 } = options;
  const kinds = kindsOf(options);
  using modules = new ModuleRepository();
  await using subnet = await Subnet.start({
    hosters,
    routers,
    proxied: true,
    hosterConfig: {
      ...HOSTER_CONFIG,
      models: [...HOSTER_CONFIG.models, modules.folder],
      only: modelsOf(kinds),
    },
    readyMs: 120_000,
  });
  const authorizer = subnet.authorizer();
  await using remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  // One application with all streams, and far more failures than the budget of one is made for.
  const retry = { attempts: 20, budget: 2000, budgetPerSecond: 200 };
  // Hosters need several seconds to start on a busy machine, and often there is none.
  const timeouts = { recoverMs: 120_000, placeMs: 60_000 };
  await using sessions = new SessionManager(remote, { retry, timeouts });
  // Another application, which sessions are handed to.
  await using others = new SessionManager(remote, { retry, timeouts });
  if (options.through === undefined)
    return await new ScheduleRun(subnet, [sessions, others], options).run();
  await using gateway = await Gateway.start(subnet, {
    timeouts: {
      recover_seconds: timeouts.recoverMs / 1000,
      place_seconds: timeouts.placeMs / 1000,
    },
  });
  using caller = new PlainCaller(gateway.address, subnetPaths(subnet.keys).key('client'));
  const plain = (script: Script, how: StreamOptions): PlainStream =>
    new PlainStream(script, caller, remote, how);
  return await new ScheduleRun(subnet, [sessions, others], options, plain).run();
}

class ScheduleRun {
  readonly #options: RunOptions;
  readonly #sessions: SessionManager;
  readonly #others: SessionManager;
  readonly #plain: ((script: Script, options: StreamOptions) => PlainStream) | undefined;
  readonly #kinds: readonly StreamKind[];
  readonly #weights: Readonly<Record<FaultKind, number>>;
  /** Each kind once, before chance decides. */
  readonly #due: FaultKind[];
  readonly #hosters: TestNode[];
  readonly #routers: TestNode[];
  readonly #running = new Set<Watched>();
  readonly #mending = new Set<Promise<void>>();
  /** Streams whose engine was hurt and that had no record since; and where that was. */
  readonly #engineless = new Map<Watched, string>();
  readonly #summary: Summary;
  /** No new streams: those that run are finished. */
  #closing = false;
  readonly #abort = new AbortController();

  constructor(
    subnet: Subnet,
    [sessions, others]: readonly [SessionManager, SessionManager],
    options: RunOptions,
    plain?: (script: Script, options: StreamOptions) => PlainStream,
  ) {
    this.#options = options;
    this.#sessions = sessions;
    this.#others = others;
    this.#plain = plain;
    this.#kinds = kindsOf(options);
    this.#weights = options.weights ?? WEIGHTS;
    this.#due = dueKinds(options.faults, this.#weights);
    this.#hosters = subnet.hosters.map((_, i) => new TestNode(subnet, 'hoster', i));
    this.#routers = subnet.routers.map((_, i) => new TestNode(subnet, 'router', i));
    const rides = CLASSES.filter((one) => this.#kinds.includes(one)).map(walkOf);
    const answers = this.#kinds.filter(isAnswer);
    this.#summary = new Summary(options.seed, options.faults, this.#due.slice(), rides, answers);
    // Each stream listens.
    setMaxListeners(0, this.#abort.signal);
  }

  run(): Promise<Summary> {
    const { faults, streams = 32, limitMs = 120_000 + 6000 * faults } = this.#options;
    return drive(
      { ...this.#options, streams, limitMs },
      {
        summary: this.#summary,
        abort: this.#abort,
        mending: this.#mending,
        references: () => this.#references(),
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

  /** Each script once, undisturbed; with all at once, as later. */
  async #references(): Promise<ReadonlyMap<string, Observation>> {
    const compared = [...new Set(this.#kinds)].flatMap((kind) =>
      isRide(kind)
        ? []
        : Array.from({ length: SCRIPTS_EACH }, (_, number) => comparedOf(kind, number)),
    );
    const references = new Map<string, Observation>();
    const { signal } = this.#abort;
    await Promise.all(
      compared.map(async ({ script, answers }) => {
        const observation = await new Stream(script, { signal }).run(this.#sessions);
        for (const { end } of observation.turns) if (end.kind === 'failed') throw end.error;
        // What others are compared with has to be right itself.
        const [defect] = answers ? checkAnswers(answers, observation, observation).defects : [];
        if (defect !== undefined) throw new Error(`undisturbed ${script.name}: ${defect.what}`);
        references.set(script.name, observation);
      }),
    );
    return references;
  }

  async #slot(slot: number, references: ReadonlyMap<string, Observation>): Promise<void> {
    const random = new Random(this.#options.seed * 1009 + slot);
    const kind = this.#kinds[slot % this.#kinds.length]!;
    while (!this.#closing && !this.#over) {
      const stuck = new AbortController();
      const signal = AbortSignal.any([this.#abort.signal, stuck.signal]);
      const { stream, judged } = isRide(kind)
        ? this.#ride(kind, random, signal)
        : this.#script(kind, random, signal, references);
      const watch = setInterval(() => {
        if (performance.now() - stream.lastRecordAt < STUCK_MS) return;
        const at = `${stream.name} at ${String(stream.node)}`;
        this.#summary.findings.push(`${at} got nothing for ${String(STUCK_MS / 1000)} s`);
        stream.trace.push('stuck');
        clearInterval(watch);
        stuck.abort();
      }, 1000);
      this.#running.add(stream);
      try {
        await judged();
      } finally {
        clearInterval(watch);
        this.#running.delete(stream);
        this.#engineless.delete(stream);
      }
    }
  }

  #script(
    kind: Exclude<StreamKind, RideKind>,
    random: Random,
    signal: AbortSignal,
    references: ReadonlyMap<string, Observation>,
  ) {
    const { script, answers } = comparedOf(kind, random.int(0, SCRIPTS_EACH - 1));
    const reference = references.get(script.name);
    if (reference === undefined) throw new Error(`no reference for ${script.name}`);
    const options = {
      readMs: random.pick([0, 5, 10, 20, 40]),
      writeMs: random.pick([5, 10, 20, 40]),
      turnMs: random.pick([0, 0, 20, 200]),
      signal,
    };
    const stream = this.#plain?.(script, options) ?? new Stream(script, options);
    const judged = async (): Promise<void> => {
      const observed = await stream.run(this.#sessions);
      // Cut short by the run's end: nothing to judge.
      if (this.#over) return;
      if (answers === undefined) this.#summary.stream(check(observed, reference), stream);
      else this.#summary.answers(checkAnswers(answers, observed, reference), stream);
    };
    return { stream, judged };
  }

  #ride(kind: RideKind, random: Random, signal: AbortSignal) {
    const survival = CLASSES.find((one) => kind.startsWith(one))!;
    const seed = random.int(0, MAX_RIDE_SEED);
    const stream = new Ride({ survival, live: kind !== survival, seed, signal });
    const judged = async (): Promise<void> => {
      const log = await stream.run(this.#sessions, this.#others);
      if (!this.#over) this.#summary.ride(checkRide(log), stream);
    };
    return { stream, judged };
  }

  /** One fault: waits for a hoster that is whole and has running streams, and hurts it. */
  async #step(random: Random): Promise<void> {
    const { fault, afterMs, order } = nextStep(
      random,
      this.#hosters.length,
      this.#weights,
      this.#due.shift(),
    );
    const { signal } = this.#abort;
    await sleep(afterMs, signal).catch(() => undefined);
    const until = performance.now() + WAIT_FOR_VICTIM_MS;
    let victim: TestNode | undefined;
    while (!signal.aborted && performance.now() < until) {
      victim = this.#victim(fault, order);
      if (victim !== undefined) break;
      await sleep(POLL_MS, signal).catch(() => undefined);
    }
    if (victim === undefined) {
      if (!signal.aborted) this.#summary.misses++;
      if (!this.#summary.struck(fault.kind)) this.#due.push(fault.kind);
      return;
    }
    this.#inflict(fault, victim);
  }

  #victim(fault: Fault, order: readonly number[]): TestNode | undefined {
    // Somebody must be left to go on with the streams, except where a fault wants nobody to be.
    const whole = this.#hosters.filter((hoster) => hoster.whole);
    if (whole.length < Math.min(2, this.#hosters.length)) return undefined;
    // A fault that strikes what stands still already shows nothing.
    const flowing = whole.reduce((sum, hoster) => sum + this.#flowing(hoster).length, 0);
    if (flowing < this.#running.size / FLOWING_SHARE) return undefined;
    return order
      .map((i) => this.#hosters[i]!)
      .find(
        (hoster) =>
          hoster.whole &&
          this.#flowing(hoster).length > 0 &&
          !(hurtsEngine(fault) && this.#engineAwaited(hoster)),
      );
  }

  /** Where two engines die at one position the turn is taken for what kills them, and rightly ended. */
  #engineAwaited({ address }: TestNode): boolean {
    return [...this.#engineless].some(([{ node }, at]) => at === address || node === address);
  }

  #flowing(hoster: TestNode): Watched[] {
    const now = performance.now();
    return [...this.#running].filter(
      (stream) =>
        stream.flowing && stream.node === hoster.address && now - stream.lastRecordAt < FLOWING_MS,
    );
  }

  #inflict(fault: Fault, hoster: TestNode): void {
    const flowing = this.#flowing(hoster);
    const { model } = flowing[0]!;
    const struck = hurtsEngine(fault)
      ? flowing.filter((stream) => stream.model === model)
      : flowing;
    if (hurtsEngine(fault))
      for (const stream of this.#running)
        if (stream.node === hoster.address && stream.model === model) {
          this.#engineless.set(stream, hoster.address);
          stream.onNextRecord(() => this.#engineless.delete(stream));
        }
    this.#summary.hit(fault.kind, struck);
    const at = performance.now();
    for (const stream of struck)
      stream.onNextRecord((next) => this.#summary.gap(fault.kind, next - at));
    const { mended } = inflict(fault, {
      hoster,
      hosters: this.#hosters,
      routers: this.#routers,
      model,
      signal: this.#abort.signal,
      finding: (what) => this.#summary.findings.push(what),
    });
    const settled = mended
      .catch((error: unknown) => {
        if (this.#abort.signal.aborted) return;
        this.#summary.findings.push(
          `${hoster.name} after ${fault.kind}: ${String(error)}\n${hoster.output.slice(-2000)}`,
        );
      })
      .finally(() => this.#mending.delete(settled));
    this.#mending.add(settled);
  }
}

function kindsOf({ kinds, through }: RunOptions): readonly StreamKind[] {
  if (kinds === undefined) return [...SCRIPT_KINDS, ...(through === undefined ? RIDE_KINDS : [])];
  if (through !== undefined && kinds.some(isRide))
    throw new Error('plain callers of a gateway have streams of models only');
  return kinds;
}

function hurtsEngine({ kind }: Fault): boolean {
  return kind === 'kill-engine' || kind === 'stop-engine';
}
