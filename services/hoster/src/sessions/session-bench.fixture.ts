/** Sessions on an engine in memory that tests step, and what they are asked. */
import { CabstandError, FakeClock } from '@cabstand/core';
import { FakeHost, testSealer } from './host.fixture';
import type { SessionOptions } from './options';
import { FakeReader } from './readers.fixture';
import type { Session } from './session';
import { Sessions } from './sessions';
import type { OpenRequest } from './sessions';
import type { Epoch, TurnContent } from './types';

const forever = new AbortController().signal;
export const epoch = (counter: number, owner = 'aa'): Epoch => ({ counter, owner });
export const content = (prompt = 'hi', live = false): TurnContent => ({
  prompt,
  parameters: {},
  tensors: [],
  live,
});

export interface Bench {
  readonly clock: FakeClock;
  readonly host: FakeHost;
  readonly sessions: Sessions;
}

export function bench(options: SessionOptions = {}, capacity = 4): Bench {
  const clock = new FakeClock();
  const host = new FakeHost(capacity);
  return {
    clock,
    host,
    sessions: new Sessions({ host, clock, observer: {}, sealer: testSealer(), options }),
  };
}

export async function open(b: Bench, request: Partial<OpenRequest> = {}): Promise<Session> {
  return await b.sessions.open(
    {
      id: 's',
      principal: 'alice',
      model: 'fake',
      retention: 'durable',
      epoch: epoch(1),
      priority: 0,
      ...request,
    },
    forever,
  );
}

export function attach(
  session: Session,
  from?: number,
  reader = new FakeReader(),
  e = epoch(1),
): FakeReader {
  reader.attachment = session.attach(reader, e, from);
  return reader;
}

export function reasonOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return CabstandError.from(error).reason;
  }
  return 'nothing thrown';
}

/** Nothing may be left of any session. */
export function expectEmpty(b: Bench): void {
  expect(b.sessions.size).toBe(0);
  expect(b.sessions.principals).toBe(0);
  expect(b.host.model.openSequences).toBe(0);
  expect(b.clock.pending).toBe(0);
}
