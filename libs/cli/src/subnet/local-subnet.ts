import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { CabstandError, sleep } from '@cabstand/core';
import { Child } from './child';
import type { Connection } from './connection';
import { addressOf, adminUrl, servicesOf } from './layout';
import type { ServiceAddress, SubnetLayout } from './layout';
import { ModelWatch } from './model-watch';
import { SERVICE_ADDRESS_IN_USE, servicePath } from './service-path';
import type { ServiceName } from './service-path';

export interface LocalSubnetOptions {
  readonly layout: SubnetLayout;
  /** Configuration file of each service by its name. */
  readonly configs: ReadonlyMap<string, string>;
  readonly connection: Connection;
  readonly env: NodeJS.ProcessEnv;
  /** Says what happens, one line each. */
  readonly tell: (name: string, what: string) => void;
  /** What is going on, in a line that the next one replaces; `''` removes it. */
  readonly progress?: (text: string) => void;
  /** What hosters say of models, as the user knows their files; default: as they say it. */
  readonly named?: (message: string) => string;
  readonly signal: AbortSignal;
}

const POLL_MS = 100;
const START_DEADLINE_MS = 120_000;
/** For hosters: models take their time to load and to be verified. */
const LOAD_DEADLINE_MS = 900_000;
/** Said only when it takes longer than this. */
const PATIENCE_MS = 3000;
const PROBLEMS = 5;
/** What a hoster says of itself when all has been tried (services/hoster/src/hoster.ts). */
const NOTHING_TO_SERVE = 'no model can be served';

/** A router, hosters and perhaps a gateway as child processes of this one. */
export class LocalSubnet {
  readonly #options: LocalSubnetOptions;
  readonly #children = new Map<string, Child>();
  readonly #models: ModelWatch;
  readonly #killAll = (): void => this.#children.forEach((child) => child.kill());
  #up = false;
  #stopping = false;
  /** Set when a service died before the subnet was up. */
  #stillborn: CabstandError | undefined;

  constructor(options: LocalSubnetOptions) {
    this.#options = options;
    this.#models = new ModelWatch({
      connection: options.connection,
      tell: (what) => options.tell('models', what),
      named: options.named ?? ((message) => message),
    });
    mkdirSync(options.layout.logs, { recursive: true });
    const { router, hosters, gateway } = options.layout;
    this.#add(router, 'router');
    for (const hoster of hosters) this.#add(hoster, 'hoster');
    if (gateway !== undefined) this.#add(gateway, 'gateway');
    process.once('exit', this.#killAll);
  }

  /**
   * Starts everything and waits until it serves. Rejects with why it does not; then `stop` follows.
   *
   * @throws ADDRESS_IN_USE where somebody else listens at one of its ports, CONFIG_INVALID where a service does
   * not start otherwise, DEADLINE_EXCEEDED, and what hosters say of models that they cannot serve.
   */
  async start(): Promise<void> {
    const { layout, tell } = this.#options;
    // All at once: a hoster that is ready before the router tries again until it is there.
    for (const service of servicesOf(layout)) this.#child(service).start();
    await this.#ready(layout.router);
    tell('router', `is up at ${addressOf(layout.router)}`);
    try {
      await Promise.all(layout.hosters.map((hoster) => this.#serving(hoster)));
      if (layout.gateway !== undefined) {
        await this.#ready(layout.gateway);
        tell(layout.gateway.name, `takes plain callers at ${addressOf(layout.gateway)}`);
      }
    } finally {
      this.#options.progress?.('');
    }
    this.#up = true;
  }

  /**
   * The gateway first, so that its callers' streams can end, and hosters before the router, so that they can say
   * goodbye to it. False if one had to be killed.
   */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#stopping = true;
    const { layout } = this.#options;
    const { gateway } = layout;
    const calm = gateway === undefined || (await this.#child(gateway).stop(deadlineMs));
    const hosters = await Promise.all(
      layout.hosters.map((hoster) => this.#child(hoster).stop(deadlineMs)),
    );
    const router = await this.#child(layout.router).stop(deadlineMs);
    process.off('exit', this.#killAll);
    return calm && router && hosters.every(Boolean);
  }

  /** Process id of a service by its name; undefined while it does not run. */
  pid(name: string): number | undefined {
    return this.#children.get(name)?.pid;
  }

  #add(service: ServiceAddress, program: ServiceName): void {
    const { name } = service;
    const { layout, configs, env, tell } = this.#options;
    const child = new Child({
      name,
      args: [servicePath(program), '--config', configs.get(name) ?? ''],
      cores: service.cores,
      env,
      logFile: path.join(layout.logs, `${name}.log`),
      finished: () => {
        if (this.#up) tell(name, 'has ended: it was drained or told to stop; the others go on');
        else void this.#died(child, 'exit code 0', 0, 0);
      },
      died: (how, restartMs, code) => void this.#died(child, how, restartMs, code),
      restarted: () => {
        this.#serving(service).catch((error: unknown) => {
          if (!this.#stopping) tell(name, CabstandError.from(error).message);
        });
      },
    });
    this.#children.set(name, child);
  }

  async #died(child: Child, how: string, restartMs: number, code: number | null): Promise<void> {
    if (!this.#up) {
      const log = (await child.lastProblems(PROBLEMS)).replace(/^/gm, '    ');
      this.#stillborn ??= new CabstandError(
        code === SERVICE_ADDRESS_IN_USE ? 'ADDRESS_IN_USE' : 'CONFIG_INVALID',
        `${child.name} does not start (${how}); from ${child.logFile}:\n${log}`,
      );
      return;
    }
    this.#options.tell(
      child.name,
      `died (${how}); the others go on. It starts again in ${restartMs / 1000} s; see ${child.logFile}`,
    );
  }

  /** Until the hoster takes work and the router hands it out. */
  async #serving(service: ServiceAddress): Promise<void> {
    const { connection, tell } = this.#options;
    const begun = performance.now();
    await this.#ready(service);
    if (!this.#isHoster(service)) {
      tell(service.name, `is up again at ${addressOf(service)}`);
      return;
    }
    await this.#models.look(addressOf(service));
    await this.#until(service, async () => {
      const nodes = await connection.nodes().catch((error: unknown) => {
        if (isFinal(error)) throw error;
        return [];
      });
      const node = nodes.find(({ node_id: id }) => id === service.name);
      if (node?.state !== 'NODE_STATE_ONLINE') return 'the router does not hand it out yet';
      const took = ((performance.now() - begun) / 1000).toFixed(1);
      const models = node.models.map(({ name }) => name).sort();
      tell(
        service.name,
        `serves ${models.join(', ') || 'no models'} at ${addressOf(service)} (after ${took} s)`,
      );
      return '';
    });
  }

  #ready(service: ServiceAddress): Promise<void> {
    return this.#until(
      service,
      async () => {
        try {
          const response = await fetch(adminUrl(service, 'readyz'), {
            signal: AbortSignal.timeout(2000),
          });
          const { ready, reasons } = (await response.json()) as {
            ready: boolean;
            reasons: Readonly<Record<string, string>>;
          };
          if (ready) return '';
          return await this.#whyNot(service, reasons);
        } catch (error) {
          if (CabstandError.is(error)) throw error;
          return 'it does not answer yet';
        }
      },
      this.#isHoster(service) ? LOAD_DEADLINE_MS : START_DEADLINE_MS,
    );
  }

  /** Throws when it will not be ready, as far as anybody can tell. */
  async #whyNot(
    service: ServiceAddress,
    reasons: Readonly<Record<string, string>>,
  ): Promise<string> {
    // What it says of its models says more than that it starts.
    const why = reasons['models'] ?? (Object.values(reasons).join('; ') || 'not ready');
    if (!this.#isHoster(service) || this.#up) return why;
    if (reasons['models'] === NOTHING_TO_SERVE)
      throw await this.#models.nothing(addressOf(service));
    const loading = await this.#models.look(addressOf(service));
    this.#options.progress?.(`${service.name} loads ${loading}`);
    return why;
  }

  /** Asks until nothing is missing; says what is when it takes long. */
  async #until(
    service: ServiceAddress,
    missing: () => Promise<string>,
    deadlineMs = START_DEADLINE_MS,
  ): Promise<void> {
    const { signal, tell } = this.#options;
    const begun = performance.now();
    let said = '';
    for (;;) {
      if (this.#stillborn !== undefined) throw this.#stillborn;
      const why = await missing();
      if (why === '') return;
      const waited = performance.now() - begun;
      if (waited > deadlineMs)
        throw new CabstandError(
          'DEADLINE_EXCEEDED',
          `${service.name} is not ready after ${deadlineMs / 1000} s: ${why}; see ${this.#child(service).logFile}`,
        );
      if (waited > PATIENCE_MS && why !== said) {
        tell(service.name, `waiting: ${why}`);
        said = why;
      }
      await sleep(POLL_MS, signal);
    }
  }

  #isHoster({ name }: ServiceAddress): boolean {
    return this.#options.layout.hosters.some((hoster) => hoster.name === name);
  }

  #child({ name }: ServiceAddress): Child {
    const child = this.#children.get(name);
    if (child === undefined) throw new Error(`no service ${name}`);
    return child;
  }
}

/** Asking again cannot help: the credentials are wrong, or somebody wants to stop. */
function isFinal(error: unknown): boolean {
  return !CabstandError.is(error) || error.class === 'auth' || error.class === 'caller';
}
