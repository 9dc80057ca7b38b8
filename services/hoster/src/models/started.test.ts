/** A model that never finishes loading does not keep the others from being announced. */
import { FakeClock } from '@cabstand/core';
import type { ModelStatus } from '@cabstand/sessions';
import { someServe } from './started';
import type { LoadingHost } from './started';

const loading: ModelStatus = { state: 'loading', stage: 'reading' };
const ready: ModelStatus = { state: 'ready' };

class Host implements LoadingHost {
  statuses: ModelStatus[] = [loading, loading];
  readonly listeners = new Set<() => void>();
  settle: () => void = () => undefined;
  readonly #settled = new Promise<void>((resolve) => (this.settle = resolve));

  models(): { status: ModelStatus }[] {
    return this.statuses.map((status) => ({ status }));
  }

  settled(): Promise<void> {
    return this.#settled;
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  become(...statuses: ModelStatus[]): void {
    this.statuses = statuses;
    for (const listener of this.listeners) listener();
  }
}

let host: Host;
let clock: FakeClock;
let started: boolean;
const begin = (): Promise<void> =>
  someServe(host, 30_000, clock).then(() => {
    started = true;
  });
beforeEach(() => {
  host = new Host();
  clock = new FakeClock();
  started = false;
});

test('others wait for a slow one so long and no longer, from when the first serves', async () => {
  const over = begin();
  await clock.advance(600_000);
  expect(started).toBe(false);
  host.become(ready, loading);
  await clock.advance(29_999);
  host.become(ready, loading);
  expect(started).toBe(false);
  await clock.advance(1);
  await over;
  expect([host.listeners.size, clock.pending]).toEqual([0, 0]);
});

test('nobody waits once all have loaded or failed', async () => {
  const over = begin();
  host.become(ready, loading);
  host.settle();
  await over;
  expect([host.listeners.size, clock.pending]).toEqual([0, 0]);
});
