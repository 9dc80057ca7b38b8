/** Hosters on engines in memory, and ways to look at what durable sessions do there. */
import { CabstandError, FakeClock } from '@cabstand/core';
import { DurableClient } from './durable-client.fixture';
import { StatefulHost, testSealer } from '@cabstand/testing';
import type { Observe } from './events';
import type { SessionOptions } from './options';
import { Sessions } from './sessions';

interface BenchHoster {
  readonly host: StatefulHost;
  readonly model: StatefulHost['model'];
  readonly sessions: Sessions;
}

export class Bench {
  readonly clock = new FakeClock();
  readonly sealer = testSealer();
  readonly told: string[] = [];

  hoster(options: SessionOptions = {}, capacity = 8): BenchHoster {
    const host = new StatefulHost(capacity);
    const observe: Observe = (event) => {
      if (event.kind === 'rebuilt') this.told.push(`${event.session.id} rebuilt ${event.cause}`);
      if (event.kind === 'resumed' || event.kind === 'poisoned')
        this.told.push(`${event.session.id} ${event.kind}`);
    };
    const { clock, sealer } = this;
    const sessions = new Sessions({
      host,
      clock,
      observe,
      sealer,
      options: { snapshotRecords: 4, resumeHeadroom: 0, ...options },
    });
    return { host, model: host.model, sessions };
  }
}

/** A client whose turn of 30 chunks is under way: its model has computed what it has credit for, ten steps at most. */
export async function midTurn(): Promise<BenchHoster & { b: Bench; client: DurableClient }> {
  const b = new Bench();
  const hoster = b.hoster();
  const client = new DurableClient('s');
  await client.open(hoster.sessions);
  client.startTurn(30);
  hoster.model.run(10);
  return { b, ...hoster, client };
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
