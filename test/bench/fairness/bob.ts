import { randomUUID } from 'node:crypto';
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import { CabstandError, sleep } from '@cabstand/core';
import { RpcClient } from '@cabstand/rpc';
import type { Authorizer, v1 } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import { forgedAs } from './forged';
import type { Outcomes, Target } from './messages';

/** As many calls as one connection takes by default. */
const CALLS_A_CONNECTION = 900;
const LARGEST_BYTES = 64 << 20;
/** A hostile client that is refused comes again at once, but not as a busy loop of its own. */
const AGAIN_MS = 20;

/** The hostile principal: its connections, and what came of its calls. */
export class Bob {
  readonly target: Target;
  readonly #authorizer: Authorizer;
  readonly #forged: readonly [unknown: Authorizer, known: Authorizer];
  readonly #clients = new Map<string, RpcClient[]>();
  #outcomes: Record<string, number> = {};
  #held = 0;

  constructor(target: Target) {
    this.target = target;
    this.#authorizer = createClientAuthorizer(authConfigSchema.parse(target.auth));
    this.#forged = [forgedAs('nobody-1'), forgedAs(target.victimKey)];
  }

  get router(): string {
    return this.target.routers[0] ?? '';
  }

  /** Hosters in turn. */
  hoster(number: number): string {
    const { hosters } = this.target;
    return hosters[number % hosters.length] ?? '';
  }

  /** A connection with room for another call. */
  client(address: string): RpcClient {
    return this.#connection(address, this.#authorizer, address);
  }

  /** A connection for calls that prove nothing: by turns, they name no key of the subnet, and the victim's. */
  forger(number: number): RpcClient {
    const [unknown, known] = this.#forged;
    const address = this.hoster(number >> 1);
    return number % 2 === 0
      ? this.#connection(`${address} unknown`, unknown, address)
      : this.#connection(`${address} known`, known, address);
  }

  #connection(name: string, authorizer: Authorizer, address: string): RpcClient {
    const clients = this.#clients.get(name) ?? [];
    this.#clients.set(name, clients);
    const free = clients.find(({ activeCalls }) => activeCalls < CALLS_A_CONNECTION);
    if (free !== undefined) return free;
    const made = new RpcClient(address, { authorizer, maxMessageBytes: LARGEST_BYTES });
    clients.push(made);
    return made;
  }

  /** Does something again and again, `width` at once, for ever; counts how each ended. */
  async loop(width: number, task: (number: number) => Promise<string>): Promise<void> {
    let next = 0;
    const worker = async (): Promise<void> => {
      for (;;) {
        const outcome = await task(next++).catch(
          (error: unknown) => CabstandError.from(error).reason,
        );
        this.count(outcome);
        if (outcome !== 'done') await sleep(AGAIN_MS);
      }
    };
    await Promise.all(Array.from({ length: width }, worker));
  }

  count(outcome: string): void {
    this.#outcomes[outcome] = (this.#outcomes[outcome] ?? 0) + 1;
  }

  /** Something of the subnet's is held for as long as this lasts. */
  async hold(while_: Promise<unknown>): Promise<void> {
    this.#held++;
    try {
      await while_;
    } finally {
      this.#held--;
    }
  }

  take(): Outcomes {
    const outcomes = { ...this.#outcomes, held: this.#held };
    this.#outcomes = {};
    return outcomes;
  }
}

export function newSession(): { session_id: string; epoch: v1.Epoch } {
  return { session_id: randomUUID(), epoch: { counter: 1, owner: Buffer.alloc(16, 7) } };
}

export function audioOf(bytes: number): v1.Tensor {
  const samples = Float32Array.from({ length: bytes / 4 }, (_, i) => Math.sin(i * 0.02) / 9);
  return toWire(tensorOf('audio', samples));
}
