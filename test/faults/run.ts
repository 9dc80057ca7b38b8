import { setMaxListeners } from 'node:events';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { CabstandError, sleep } from '@cabstand/core';
import { BUNDLED_MODELS, Subnet, TEST_MODELS } from '@cabstand/testing';
import { check } from './checker';
import { inflict } from './inflict';
import { TestNode } from './node';
import { Random } from './random';
import { WEIGHTS, nextStep } from './schedule';
import type { Fault, FaultKind } from './schedule';
import { SCRIPT_KINDS, SCRIPT_MODELS, makeScript } from './scripts';
import type { Script } from './scripts';
import { Stream } from './stream';
import type { Observation } from './stream';
import { Summary } from './summary';

export interface RunOptions {
  /** The same seed draws the same faults, scripts and paces. */
  readonly seed: number;
  /** How many faults must hit a running stream. */
  readonly faults: number;
  /** Streams at once. Default 32. */
  readonly streams?: number;
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
const PROGRESS_MS = 2000;

/** What the hosters of a fault run are configured with; small journals keep engines close to readers. */
export const HOSTER_CONFIG = {
  models: [BUNDLED_MODELS, TEST_MODELS],
  only: [...SCRIPT_MODELS],
  shutdown_seconds: 15,
  limits: { journal_records: 48 },
  // As many deaths as the schedule likes.
  engines: { crashes: 1_000_000 },
};

/** Runs a random schedule of faults against a subnet of its own, and checks every stream. */
export async function runSchedule(options: RunOptions): Promise<Summary> {
  const { hosters = 3, routers = 2 } = options;
  await using subnet = await Subnet.start({
    hosters,
    routers,
    proxied: true,
    hosterConfig: HOSTER_CONFIG,
    readyMs: 120_000,
  });
  const authorizer = subnet.authorizer();
  await using remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  // One application with all streams, and far more failures than the budget of one is made for.
  const retry = { attempts: 20, budget: 2000, budgetPerSecond: 200 };
  // Hosters need several seconds to start on a busy machine, and often there is none.
  const timeouts = { recoverMs: 120_000, placeMs: 60_000 };
  await using sessions = new SessionManager(remote, { retry, timeouts });
  const run = new ScheduleRun(subnet, sessions, options);
  return await run.run();
}

class ScheduleRun {
  readonly #options: RunOptions;
  readonly #sessions: SessionManager;
  readonly #hosters: TestNode[];
  readonly #routers: TestNode[];
  readonly #running = new Set<Stream>();
  readonly #mending = new Set<Promise<void>>();
  /** Streams whose engine was hurt and that had no record since; and where that was. */
  readonly #engineless = new Map<Stream, string>();
  readonly #summary: Summary;
  /** No new streams: those that run are finished. */
  #closing = false;
  readonly #abort = new AbortController();

  constructor(subnet: Subnet, sessions: SessionManager, options: RunOptions) {
    this.#options = options;
    this.#sessions = sessions;
    this.#hosters = subnet.hosters.map((_, i) => new TestNode(subnet, 'hoster', i));
    this.#routers = subnet.routers.map((_, i) => new TestNode(subnet, 'router', i));
    this.#summary = new Summary(options.seed, options.faults);
    // Each stream listens.
    setMaxListeners(0, this.#abort.signal);
  }

  async run(): Promise<Summary> {
    const { seed, streams = 32, faults, progress, signal } = this.#options;
    const { limitMs = 120_000 + 6000 * faults } = this.#options;
    const abort = (): void =>
      this.#abort.abort(new CabstandError('CANCELLED', 'the run was ended'));
    signal?.addEventListener('abort', abort, { once: true });
    const limit = setTimeout(() => {
      this.#summary.findings.push(`the run took longer than ${String(limitMs / 1000)} s`);
      abort();
    }, limitMs);
    const ticker = setInterval(() => progress?.(this.#summary), PROGRESS_MS);
    try {
      const references = await this.#references();
      const slots = Array.from({ length: streams }, (_, slot) => this.#slot(slot, references));
      const all = Promise.all(slots);
      // An error of the harness itself ends everything.
      all.catch(abort);
      const random = new Random(seed);
      while (this.#summary.hits < faults && !this.#over) await this.#step(random);
      this.#closing = true;
      await all;
      await Promise.all(this.#mending);
      return this.#summary;
    } finally {
      abort();
      clearTimeout(limit);
      clearInterval(ticker);
      signal?.removeEventListener('abort', abort);
      await Promise.allSettled(this.#mending);
    }
  }

  get #over(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Each script once, undisturbed; with all at once, as later. */
  async #references(): Promise<ReadonlyMap<string, Observation>> {
    const scripts = SCRIPT_KINDS.flatMap((kind) =>
      Array.from({ length: SCRIPTS_EACH }, (_, number) => makeScript(kind, number)),
    );
    const references = new Map<string, Observation>();
    const { signal } = this.#abort;
    await Promise.all(
      scripts.map(async (script) => {
        const observation = await new Stream(script, { signal }).run(this.#sessions);
        for (const { end } of observation.turns) if (end.kind === 'failed') throw end.error;
        references.set(script.name, observation);
      }),
    );
    return references;
  }

  async #slot(slot: number, references: ReadonlyMap<string, Observation>): Promise<void> {
    const random = new Random(this.#options.seed * 1009 + slot);
    const kind = SCRIPT_KINDS[slot % SCRIPT_KINDS.length]!;
    while (!this.#closing && !this.#over) {
      const script = makeScript(kind, random.int(0, SCRIPTS_EACH - 1));
      const stuck = new AbortController();
      const stream = new Stream(script, {
        readMs: random.pick([0, 5, 10, 20, 40]),
        writeMs: random.pick([5, 10, 20, 40]),
        turnMs: random.pick([0, 0, 20, 200]),
        signal: AbortSignal.any([this.#abort.signal, stuck.signal]),
      });
      const watch = setInterval(() => {
        if (performance.now() - stream.lastRecordAt < STUCK_MS) return;
        const at = `${script.name} at ${String(stream.node)}`;
        this.#summary.findings.push(`${at} got nothing for ${String(STUCK_MS / 1000)} s`);
        stream.trace.push('stuck');
        clearInterval(watch);
        stuck.abort();
      }, 1000);
      this.#running.add(stream);
      try {
        this.#judge(script, stream, await stream.run(this.#sessions), references);
      } finally {
        clearInterval(watch);
        this.#running.delete(stream);
        this.#engineless.delete(stream);
      }
    }
  }

  #judge(
    script: Script,
    stream: Stream,
    observation: Observation,
    references: ReadonlyMap<string, Observation>,
  ): void {
    // Cut short by the run's end: nothing to judge.
    if (this.#over) return;
    const reference = references.get(script.name);
    if (reference === undefined) throw new Error(`no reference for ${script.name}`);
    this.#summary.stream(check(observation, reference), stream);
  }

  /** One fault: waits for a hoster that is whole and has running streams, and hurts it. */
  async #step(random: Random): Promise<void> {
    const { fault, afterMs, order } = nextStep(
      random,
      this.#hosters.length,
      this.#options.weights ?? WEIGHTS,
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

  #flowing(hoster: TestNode): Stream[] {
    const now = performance.now();
    return [...this.#running].filter(
      (stream) =>
        stream.flowing && stream.node === hoster.address && now - stream.lastRecordAt < FLOWING_MS,
    );
  }

  #inflict(fault: Fault, hoster: TestNode): void {
    const flowing = this.#flowing(hoster);
    const { model } = flowing[0]!.script;
    const struck = hurtsEngine(fault)
      ? flowing.filter(({ script }) => script.model === model)
      : flowing;
    if (hurtsEngine(fault))
      for (const stream of this.#running)
        if (stream.node === hoster.address && stream.script.model === model) {
          this.#engineless.set(stream, hoster.address);
          stream.onNextRecord(() => this.#engineless.delete(stream));
        }
    this.#summary.hit(fault.kind, struck.length);
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

function hurtsEngine({ kind }: Fault): boolean {
  return kind === 'kill-engine' || kind === 'stop-engine';
}
