import { sleep } from '@cabstand/core';
import { freePorts } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';
import { Gateway } from '../../support/gateway';

/** A gateway that can be killed, and starts again at its addresses. */
export class GatewayNode implements AsyncDisposable {
  readonly name: string;
  /** Of its port for HTTP. */
  readonly http: string;
  readonly #subnet: Subnet;
  readonly #settings: Readonly<Record<string, unknown>>;
  #gateway: Gateway;
  #killed = false;

  private constructor(
    subnet: Subnet,
    name: string,
    http: string,
    settings: Readonly<Record<string, unknown>>,
    gateway: Gateway,
  ) {
    this.#subnet = subnet;
    this.name = name;
    this.http = http;
    this.#settings = settings;
    this.#gateway = gateway;
  }

  static async start(
    subnet: Subnet,
    name: string,
    settings: Readonly<Record<string, unknown>>,
  ): Promise<GatewayNode> {
    const [port] = await freePorts(1);
    const http = `127.0.0.1:${String(port)}`;
    const whole = { ...settings, http: { listen: http } };
    return new GatewayNode(subnet, name, http, whole, await Gateway.start(subnet, whole, name));
  }

  get address(): string {
    return this.#gateway.address;
  }

  get whole(): boolean {
    return !this.#killed;
  }

  get output(): string {
    return this.#gateway.child.output;
  }

  get admin(): string {
    return this.#gateway.admin;
  }

  get pid(): number {
    return this.#gateway.child.pid;
  }

  /** SIGKILL; resolves when it serves again. */
  async killAndRestart(downMs: number, signal: AbortSignal): Promise<void> {
    await this.#end('SIGKILL');
    await sleep(downMs, signal).catch(() => undefined);
    await this.#startAgain();
  }

  /** SIGTERM; resolves with the exit code when it serves again. */
  async leaveAndRestart(): Promise<number | null> {
    const code = await this.#end('SIGTERM');
    await this.#startAgain();
    return code;
  }

  async #end(how: NodeJS.Signals): Promise<number | null> {
    this.#killed = true;
    const { child } = this.#gateway;
    child.kill(how);
    return (await child.exited).code;
  }

  async #startAgain(): Promise<void> {
    this.#gateway = await Gateway.start(this.#subnet, this.#settings, this.name, {
      before: this.#gateway,
    });
    this.#killed = false;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#gateway[Symbol.asyncDispose]();
  }
}
