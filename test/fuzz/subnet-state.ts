import { sleep } from '@cabstand/core';
import { scrape, total, until } from '@cabstand/testing';
import type { Service, Subnet } from '@cabstand/testing';
import { childrenOf, servingIn } from '../support/processes';
import { SESSION_GAUGES } from '../support/session-gauges';
import { descriptorsOf } from './memory';
import { SPARE_MODEL, TURN_MODELS } from './models';

/** Calls that a service has not ended yet.*/
const OPEN_CALLS = 'cabstand_rpc_open_calls';
const GONE_MS = 30_000;
/** Connections to engines and routers come and go: so many more are no leak. */
const DESCRIPTORS_TOLERATED = 4;
/** What a service must not say of itself. */
const COMPLAINT = /"level":"(?:error|fatal)"|"INTERNAL"|TypeError|RangeError|unhandled/;

/** What there was, of each service or, for engines, hoster. */
interface Before {
  readonly pids: readonly number[];
  readonly engines: readonly ReadonlyMap<string, number>[];
  readonly descriptors: readonly number[];
}

/** Processes of a subnet and what they hold, before and after. */
export class SubnetState {
  readonly complaints: string[] = [];
  readonly #subnet: Subnet;
  readonly #services: readonly Service[];
  /** Of each hoster: engines by model, as its log tells them. */
  readonly #engines: Map<string, number>[];
  #before: Before | undefined;

  constructor(subnet: Subnet) {
    this.#subnet = subnet;
    this.#services = [...subnet.routers, ...subnet.hosters];
    this.#engines = subnet.hosters.map(() => new Map<string, number>());
    for (const [i, { child }] of subnet.hosters.entries()) {
      const take = (line: string): void => {
        const serving = servingIn(line);
        if (serving !== undefined) this.#engines[i]?.set(serving.model, serving.pid);
      };
      child.output.split('\n').forEach(take);
      child.onLine(take);
    }
    for (const { child } of this.#services)
      child.onLine((line) => {
        if (COMPLAINT.test(line)) this.complaints.push(`${child.name} says ${line.slice(0, 500)}`);
      });
  }

  /** Remembers what there is now, for `faults`. */
  remember(): void {
    for (const engines of this.#engines)
      if (engines.size < TURN_MODELS.length) throw new Error('not every model serves');
    this.#before = {
      pids: this.#services.map(({ child }) => child.pid),
      engines: this.#engines.map((engines) => new Map(engines)),
      descriptors: this.#services.map(({ child }) => descriptorsOf(child.pid)),
    };
  }

  /** Model steps that the hosters computed, and turns that they completed, in all. */
  async done(): Promise<{ readonly steps: number; readonly turns: number }> {
    const pages = await Promise.all(this.#subnet.hosters.map(({ admin }) => scrape(admin)));
    const sum = (name: string, labels = {}): number =>
      pages.reduce((all, page) => all + total(page, name, labels), 0);
    return {
      steps: sum('cabstand_steps_total'),
      turns: sum('cabstand_turns_total', { reason: 'completed' }),
    };
  }

  /** What is not as it was, when all callers are gone: processes, sessions, calls, descriptors. */
  async faults(): Promise<string[]> {
    const before = this.#before;
    if (before === undefined) throw new Error('nothing was remembered');
    const faults: string[] = [];
    for (const [i, { child }] of this.#services.entries())
      if (!child.running || child.pid !== before.pids[i]) faults.push(`${child.name} died`);
    if (faults.length > 0) return faults;
    for (const [i, engines] of before.engines.entries()) {
      const children = childrenOf(this.#subnet.hosters[i]?.child.pid ?? 0);
      for (const [model, pid] of engines)
        if (model !== SPARE_MODEL && !children.includes(pid))
          faults.push(`the engine of ${model} at hoster ${String(i)} died`);
    }
    let left: string[] = [];
    await until(
      'everything to be gone',
      async () => {
        left = await this.#left(before);
        if (left.length > 0) await sleep(500);
        return left.length === 0 || undefined;
      },
      { timeoutMs: GONE_MS },
    ).catch(() => undefined);
    return [...faults, ...left];
  }

  async #left(before: Before): Promise<string[]> {
    const left: string[] = [];
    for (const [i, { child, admin }] of this.#services.entries()) {
      const page = await scrape(admin);
      for (const name of SESSION_GAUGES) {
        const value = total(page, name);
        if (value !== 0) left.push(`${child.name}: ${name} is ${String(value)}`);
      }
      const calls = total(page, OPEN_CALLS);
      // The heartbeats of the hosters.
      const expected = i < this.#subnet.routers.length ? this.#subnet.hosters.length : 0;
      if (calls > expected) left.push(`${child.name}: ${String(calls)} calls are open`);
      const open = descriptorsOf(child.pid);
      const was = before.descriptors[i] ?? 0;
      if (open > was + DESCRIPTORS_TOLERATED)
        left.push(`${child.name}: ${String(was)} descriptors before, ${String(open)} now`);
    }
    return left;
  }
}
