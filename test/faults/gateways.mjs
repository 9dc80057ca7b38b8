// Gateways of the subnet that clients of other languages are tried with: processes that are killed, told to end and
// stopped, and start again at their addresses.
import { createRequire } from 'node:module';

// Workspaces are CommonJS, and found from the package that depends on them.
const require = createRequire(new URL('../package.json', import.meta.url));
const { freePorts } = require('@cabstand/testing');
const { Gateway } = require('./dist/support/gateway');

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** How often each is drawn, relative to the others. */
const WEIGHTS = { 'kill-gateway': 5, 'drain-gateway': 2, 'stop-gateway': 2 };
/** In milliseconds; those of hosters. */
const LONGEST_STOP = 6000;
const LONGEST_DOWN = 1500;
/** On a busy machine a process needs long to start. */
const READY_MS = 240_000;

export class Gateways {
  #subnet;
  #finding;
  /** `hurt` is what is under way there. */
  #all = [];

  constructor(subnet, finding) {
    this.#subnet = subnet;
    this.#finding = finding;
  }

  static async start(subnet, count, finding) {
    const gateways = new Gateways(subnet, finding);
    const ports = await freePorts(2 * count);
    // One after the other: each adds its key to those of the subnet.
    for (let i = 0; i < count; i++) {
      const [name, at] = [`gateway-${i}`, ports.slice(2 * i, 2 * i + 2)];
      gateways.#all.push({ name, at, process: await gateways.#begin(name, at) });
    }
    return gateways;
  }

  get addresses() {
    return this.#all.map(({ process: { address } }) => address);
  }

  /** Hurts one that has running streams, where another one is left; answers what was done, and to which. */
  strike(random, busy) {
    const whole = this.#all.filter(({ hurt }) => hurt === undefined);
    if (whole.length < Math.min(2, this.#all.length)) return undefined;
    const struck = random
      .shuffled(whole)
      .find(({ process: { address } }) => (busy[address] ?? []).length > 0);
    if (struck === undefined) return undefined;
    const kind = random.weighted(WEIGHTS);
    const ms = random.int(kind === 'stop-gateway' ? 100 : 0, LONGEST_STOP);
    struck.hurt = this.#hurt(struck, kind, ms)
      .catch((error) => this.#finding(String(error)))
      .finally(() => (struck.hurt = undefined));
    return { fault: kind, hoster: struck.process.address };
  }

  async mend() {
    await Promise.all(this.#all.map(({ hurt }) => hurt));
  }

  async stop() {
    await this.mend();
    await Promise.all(this.#all.map(({ process: one }) => one[Symbol.asyncDispose]()));
  }

  async #hurt(gateway, kind, ms) {
    const { child } = gateway.process;
    if (kind === 'stop-gateway') {
      child.kill('SIGSTOP');
      await sleep(ms);
      child.kill('SIGCONT');
      return;
    }
    child.kill(kind === 'kill-gateway' ? 'SIGKILL' : 'SIGTERM');
    await child.exited;
    await sleep(Math.min(ms, LONGEST_DOWN));
    gateway.process = await this.#begin(gateway.name, gateway.at);
  }

  #begin(name, at) {
    const settings = {
      shutdown_seconds: 5,
      timeouts: { place_seconds: 900, recover_seconds: 900 },
    };
    return Gateway.start(this.#subnet, settings, name, { at, readyMs: READY_MS });
  }
}
