import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { LASTING } from './faults';
import type { Direction, Injection, NetFault, NetFaultOptions } from './faults';
import { Pipe } from './pipe';
import type { PipeFault } from './pipe';

const DIRECTIONS: readonly Direction[] = ['up', 'down'];

interface Connection {
  readonly pipes: Readonly<Record<Direction, Pipe>>;
  reset(): void;
}

/**
 * A TCP proxy in front of a service, on loopback, that does to the connections through it what
 * networks do. The service advertises the proxy's address, so that callers dial (and sign for) it.
 * Knows nothing of what it carries.
 */
export class FaultProxy implements AsyncDisposable {
  /** `host:port` to dial. */
  readonly address: string;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #active = new Set<ActiveInjection>();

  private constructor(server: Server, target: string) {
    const colon = target.lastIndexOf(':');
    this.#target = { host: target.slice(0, colon), port: Number(target.slice(colon + 1)) };
    this.#server = server;
    this.address = `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    server.on('connection', (socket) => this.#accept(socket));
  }

  /** @param target `host:port` of the service; it need not be there yet */
  static start(target: string): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(new FaultProxy(server, target)));
    });
  }

  /** Connections open now. */
  get connections(): number {
    return this.#connections.size;
  }

  inject(fault: NetFault, options: NetFaultOptions = {}): Injection {
    const injection = new ActiveInjection(fault, options, () => this.#heal(injection));
    if (injection.upcoming) this.#active.add(injection);
    for (const connection of this.#connections) injection.apply(connection);
    return injection;
  }

  /** Ends all faults. */
  heal(): void {
    for (const injection of this.#active) injection.heal();
  }

  /** Resets all connections; answers how many there were. */
  reset(): number {
    const open = [...this.#connections];
    for (const connection of open) connection.reset();
    return open.length;
  }

  async close(): Promise<void> {
    this.#active.clear();
    this.reset();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    const service = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    const reset = (): void => {
      for (const direction of DIRECTIONS) pipes[direction].stop();
      client.resetAndDestroy();
      service.resetAndDestroy();
    };
    const pipes = { up: new Pipe(client, service, reset), down: new Pipe(service, client, reset) };
    const connection: Connection = { pipes, reset };
    this.#connections.add(connection);
    let open = 2;
    for (const socket of [client, service]) {
      // What is wrong with one side reaches the other through its pipe.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        if (--open > 0) return;
        this.#connections.delete(connection);
        for (const direction of DIRECTIONS) pipes[direction].stop();
      });
    }
    for (const injection of this.#active) injection.apply(connection);
  }

  #heal(injection: ActiveInjection): void {
    this.#active.delete(injection);
    for (const connection of this.#connections)
      for (const direction of DIRECTIONS) connection.pipes[direction].remove(injection.item);
  }
}

class ActiveInjection implements Injection {
  readonly item: PipeFault;
  readonly upcoming: boolean;
  readonly #directions: readonly Direction[];
  readonly #afterBytes: number;
  readonly #healed: () => void;
  #hits = 0;

  constructor(fault: NetFault, options: NetFaultOptions, healed: () => void) {
    const { direction = 'both', afterBytes = 0 } = options;
    this.item = { fault, hit: () => this.#hits++ };
    this.upcoming = options.upcoming ?? LASTING.has(fault.kind);
    this.#directions = direction === 'both' ? DIRECTIONS : [direction];
    this.#afterBytes = afterBytes;
    this.#healed = healed;
  }

  get hits(): number {
    return this.#hits;
  }

  apply(connection: Connection): void {
    for (const direction of this.#directions)
      connection.pipes[direction].add(this.item, this.#afterBytes);
  }

  heal(): void {
    this.#healed();
  }

  [Symbol.dispose](): void {
    this.heal();
  }
}
