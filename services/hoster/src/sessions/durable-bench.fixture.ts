/** Hosters on engines in memory, and ways to look at what durable sessions do there. */
import { CabstandError, FakeClock } from '@cabstand/core';
import type { DurableClient } from './durable-client.fixture';
import { StatefulHost } from './engine.fixture';
import { testSealer } from './host.fixture';
import type { SessionObserver } from './observer';
import type { SessionOptions } from './options';
import { Sessions } from './sessions';

export class Bench {
  readonly clock = new FakeClock();
  readonly sealer = testSealer();
  readonly told: string[] = [];

  hoster(options: SessionOptions = {}, capacity = 8) {
    const host = new StatefulHost(capacity);
    const observer: SessionObserver = {
      rebuilt: (session, cause) => this.told.push(`${session.id} rebuilt ${cause}`),
      resumed: (session) => this.told.push(`${session.id} resumed`),
      poisoned: (session) => this.told.push(`${session.id} poisoned`),
    };
    const { clock, sealer } = this;
    const sessions = new Sessions({
      host,
      clock,
      observer,
      sealer,
      options: { snapshotRecords: 4, resumeHeadroom: 0, ...options },
    });
    return { host, model: host.model, sessions };
  }
}

export async function reasonOf(act: () => unknown): Promise<string> {
  try {
    await act();
    return 'nothing thrown';
  } catch (error) {
    return CabstandError.from(error).reason;
  }
}

export const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Reads and acknowledges all there is. */
export function drink(client: DurableClient, run: () => void, rounds = 100): void {
  for (let i = 0; i < rounds && !client.turnOver; i++) {
    run();
    client.read(100);
    if (client.session?.state === 'streaming') client.acknowledge(0);
  }
}
