import { sleep } from '@cabstand/core';
import type { FaultProxy, Service, ServiceChanges, Subnet } from '@cabstand/testing';
import { isAlive, servingIn } from '../support/processes';

/** How long a hoster may take to leave in order, before that is a finding. */
const LEAVE_MS = 40_000;

/** A hoster or router of the subnet under test: a process that can be hurt, and starts again at its address. */
export class TestNode {
  readonly #subnet: Subnet;
  readonly #kind: 'hoster' | 'router';
  readonly #index: number;
  /** Model → process id of the engine that serves it. */
  readonly #engines = new Map<string, number>();
  #service: Service;
  /** SIGKILL is on its way; the process may be there for a moment more. */
  #killed = false;
  /** What is under way here. */
  readonly #hurts = new Set<Promise<void>>();

  constructor(subnet: Subnet, kind: 'hoster' | 'router', index: number) {
    this.#subnet = subnet;
    this.#kind = kind;
    this.#index = index;
    this.#service = this.#list[index]!;
    this.#watch(this.#service);
    for (const line of this.#service.child.output.split('\n')) this.#noteEngine(line);
  }

  get name(): string {
    return `${this.#kind} ${String(this.#index)}`;
  }

  /** What clients dial. */
  get address(): string {
    return this.#service.dialled;
  }

  get admin(): string {
    return this.#service.admin;
  }

  get pid(): number {
    return this.#service.child.pid;
  }

  get output(): string {
    return this.#service.child.output;
  }

  /** In a subnet that is proxied. */
  get proxy(): FaultProxy | undefined {
    return this.#service.proxy;
  }

  /** Nothing is being done to it: it runs and serves. */
  get whole(): boolean {
    return this.#hurts.size === 0 && this.#running;
  }

  /** Process id of the engine that serves a model now. */
  engine(model: string): number | undefined {
    const pid = this.#engines.get(model);
    return pid !== undefined && isAlive(pid) ? pid : undefined;
  }

  engines(): number[] {
    return [...this.#engines.values()].filter(isAlive);
  }

  /** Counts as hurt until `act` is done. */
  async hurting(act: () => Promise<void>): Promise<void> {
    const hurt = act();
    this.#hurts.add(hurt);
    try {
      await hurt;
    } finally {
      this.#hurts.delete(hurt);
    }
  }

  /** Waits for what is under way, and starts it again if it does not run. */
  async mend(): Promise<void> {
    await Promise.all(this.#hurts);
    if (!this.#running) await this.startAgain();
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    if (signal === 'SIGKILL') this.#killed = true;
    this.#service.child.kill(signal);
  }

  /** Waits for its end, if it was killed, and starts it again at the same address; ready then. */
  async startAgain(delayMs = 0, signal?: AbortSignal, changes: ServiceChanges = {}): Promise<void> {
    await this.#service.child.exited;
    this.#engines.clear();
    await sleep(delayMs, signal);
    const again =
      this.#kind === 'hoster'
        ? await this.#subnet.startHoster(this.#index, this.#service, changes)
        : await this.#subnet.startRouter(this.#index, this.#service, changes);
    this.#service = again;
    this.#killed = false;
    // So that the subnet stops it in the end.
    this.#list[this.#index] = again;
    this.#watch(again);
    await this.#subnet.ready(again);
  }

  /** SIGTERM, and its end. False if it had to be killed. */
  async leave(): Promise<boolean> {
    const { child } = this.#service;
    child.kill('SIGTERM');
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort();
      child.kill('SIGKILL');
    }, LEAVE_MS);
    await child.exited;
    clearTimeout(timer);
    return !late.signal.aborted;
  }

  get #running(): boolean {
    return !this.#killed && this.#service.child.running;
  }

  get #list(): Service[] {
    return this.#kind === 'hoster' ? this.#subnet.hosters : this.#subnet.routers;
  }

  #watch({ child }: Service): void {
    child.onLine((line) => {
      if (child === this.#service.child) this.#noteEngine(line);
    });
  }

  /** Hosters log which process serves which model. */
  #noteEngine(line: string): void {
    const serving = servingIn(line);
    if (serving !== undefined) this.#engines.set(serving.model, serving.pid);
  }
}
