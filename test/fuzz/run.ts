import path from 'node:path';
import { BUNDLED_MODELS, REPOSITORY_ROOT, Subnet, TEST_MODELS } from '@cabstand/testing';
import { Random } from '../faults/random';
import type { Call, Case, Outcome } from './call';
import { Caller } from './caller';
import { Canary } from './canary';
import { Findings } from './findings';
import { MemorySeries } from './memory';
import { SPARE_MODEL, TURN_MODELS } from './models';
import { judge, read } from './oracle';
import { COMMON_METHODS, HOSTER_METHODS, ROUTER_METHODS } from './schema';
import { namedSession, plainTurn, streamedSession } from './sessions';
import { singleCall } from './single-calls';
import { SubnetState } from './subnet-state';
import { Teller } from './teller';

export interface FuzzOptions {
  readonly seed: number;
  /** Ends after so many calls, or after so many minutes, whichever comes first. */
  readonly calls: number;
  readonly minutes: number;
  /** Stories told at once. */
  readonly atOnce: number;
  /** Where cases go. */
  readonly folder: string;
  /** Only the story of this number, as in the run that found something with it. */
  readonly story?: number | undefined;
  /** Replayed before anything else: none of them may find anything. */
  readonly cases: readonly Case[];
  readonly print: (text: string) => void;
  /** Ends the run early; what is running is finished. */
  readonly signal: AbortSignal;
}

/** Sessions that are left alone end soon: slots are wanted. */
const LIMITS = { idle_timeout_seconds: 2, orphan_timeout_seconds: 2 };
const STORIES = { plain: 5, named: 5, streamed: 4, damagedStream: 2, single: 9 } as const;
const SAMPLES = 64;
const LEAST_SAMPLE_CALLS = 2000;
const TELL_MS = 10_000;
const MINUTE_MS = 60_000;
/** Keeps the stories of one run apart from those of others. */
const GOLDEN = 0x9e3779b1;
/** Of the calls so many ask for valid turns, and so many turns are completed, at least. */
const VALID_SHARE = 1 / 3;
const COMPLETED_SHARE = 1 / 3;
/** In a run of so many calls each method has answered. */
const ALL_ANSWER_CALLS = 5000;
/** The canary is to have answers of so many a second, though the machine may be busy. */
const LEAST_CANARY_RATE = 1;

/** Fuzzes a subnet of its own. Answers how many kinds of findings there were. */
export async function fuzz(options: FuzzOptions): Promise<number> {
  const collector = path.join(REPOSITORY_ROOT, 'test/support/collect-on-signal.cjs');
  process.env['NODE_OPTIONS'] = `--require ${collector}`;
  await using subnet = await Subnet.start({
    readyMs: 120_000,
    routerConfig: { placement: { reservation_seconds: 1 } },
    hosterConfig: {
      models: [BUNDLED_MODELS, TEST_MODELS],
      only: [...TURN_MODELS, SPARE_MODEL],
      limits: LIMITS,
    },
  });
  return await new Run(subnet, options).run();
}

class Run {
  readonly #subnet: Subnet;
  readonly #options: FuzzOptions;
  readonly #findings: Findings;
  readonly #caller: Caller;
  readonly #state: SubnetState;
  readonly #memory: MemorySeries;
  readonly #statuses = new Map<string, number>();
  /** Methods that have answered something else than a refusal. */
  readonly #answered = new Set<string>();
  #calls = 0;
  #stories = 0;
  #validTurns = 0;
  #completed = 0;

  constructor(subnet: Subnet, options: FuzzOptions) {
    this.#subnet = subnet;
    this.#options = options;
    this.#findings = new Findings(options.folder);
    this.#caller = new Caller(subnet);
    this.#state = new SubnetState(subnet);
    this.#memory = new MemorySeries(subnet);
  }

  async run(): Promise<number> {
    const { print, cases, story, calls, minutes, atOnce, signal } = this.#options;
    this.#state.remember();
    const before = await this.#state.done();
    const begun = performance.now();
    const canary = new Canary(this.#subnet);
    for (const one of cases) await this.#replay(one);
    const end = begun + minutes * MINUTE_MS;
    const sampleEvery = Math.max(LEAST_SAMPLE_CALLS, Math.floor(calls / SAMPLES));
    let sampling = this.#memory.sample();
    let nextSample = sampleEvery;
    const ticker = setInterval(() => print(this.#progress(begun)), TELL_MS);
    const work = async (): Promise<void> => {
      while (this.#calls < calls && performance.now() < end && !signal.aborted) {
        await this.#tell(this.#stories++);
        if (this.#calls < nextSample) continue;
        nextSample += sampleEvery;
        sampling = sampling.then(() => this.#memory.sample());
      }
    };
    if (story !== undefined) await this.#tell(story);
    else if (calls > 0) await Promise.all(Array.from({ length: atOnce }, work));
    clearInterval(ticker);
    await sampling;
    await canary.stop();
    const seconds = (performance.now() - begun) / 1000;
    this.#caller.close();
    for (const fault of await this.#state.faults()) this.#findings.add(fault);
    for (const complaint of this.#state.complaints) this.#findings.add(complaint);
    for (const wrong of canary.wrong) this.#findings.add(`canary: ${wrong}`);
    await this.#memory.sample().catch(() => undefined);
    const after = await this.#state.done().catch(() => before);
    const steps = after.steps - before.steps;
    if (story === undefined && calls > 0) this.#checkShares(canary, seconds, steps);
    print(this.#memory.print());
    print(this.#statusLine());
    print(
      `${String(this.#calls)} calls in ${seconds.toFixed(0)} s, ${String(this.#validTurns)} of valid turns; ` +
        `${String(this.#completed)} turns seen completed, ${String(steps)} model steps`,
    );
    print(`canary: ${String(canary.right)} right, ${String(canary.wrong.length)} wrong`);
    if (this.#findings.count > 0) print(this.#findings.print());
    return this.#findings.count;
  }

  /** A fuzzer whose turns are all refused finds nothing: that is no result. */
  #checkShares(canary: Canary, seconds: number, steps: number): void {
    const calls = this.#calls;
    if (this.#validTurns < calls * VALID_SHARE)
      this.#findings.add(`only ${String(this.#validTurns)} of ${String(calls)} were valid turns`);
    if (this.#completed < calls * COMPLETED_SHARE || steps < this.#completed)
      this.#findings.add(`only ${String(this.#completed)} turns were completed`);
    if (calls >= ALL_ANSWER_CALLS)
      for (const { path } of [...ROUTER_METHODS, ...HOSTER_METHODS, ...COMMON_METHODS])
        if (!this.#answered.has(path)) this.#findings.add(`${path} has never answered`);
    if (canary.right < seconds * LEAST_CANARY_RATE)
      this.#findings.add(`the canary sang only ${String(canary.right)} times`);
  }

  async #tell(story: number): Promise<void> {
    const { seed } = this.#options;
    const random = new Random(Math.imul(seed, GOLDEN) + story);
    const teller = new Teller(random, seed, story, (call, { calls }) =>
      this.#perform(call, { seed, story, calls }),
    );
    switch (random.weighted(STORIES)) {
      case 'plain':
        await plainTurn(teller);
        break;
      case 'named':
        await namedSession(teller);
        break;
      case 'streamed':
        await streamedSession(teller, 0);
        break;
      case 'damagedStream':
        await streamedSession(teller, random.pick([0.2, 0.5]));
        break;
      case 'single':
        await singleCall(teller);
    }
    this.#validTurns += teller.validTurns;
  }

  async #replay({ seed, story, calls }: Case): Promise<void> {
    for (const call of calls) await this.#perform(call, { seed, story, calls });
  }

  async #perform(call: Call, from: Omit<Case, 'finding'>): Promise<Outcome> {
    const outcome = await this.#caller.run(call);
    this.#calls += 1;
    const status = `${call.path.slice(call.path.lastIndexOf('/') + 1)} ${String(outcome.code)}`;
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
    if (outcome.replies.length > 0) this.#answered.add(call.path);
    const told = read(call, outcome);
    this.#completed += told.turns;
    for (const finding of judge(call, outcome, told))
      this.#findings.add(finding, { finding, ...from });
    return outcome;
  }

  #progress(begun: number): string {
    const seconds = (performance.now() - begun) / 1000;
    const rate = (this.#calls / seconds).toFixed(0);
    return `${String(this.#calls)} calls, ${rate} a second, ${String(this.#completed)} turns completed, ${String(this.#findings.count)} findings`;
  }

  #statusLine(): string {
    const parts = [...this.#statuses].sort().map(([name, count]) => `${name}: ${String(count)}`);
    return `statuses: ${parts.join(', ')}`;
  }
}
