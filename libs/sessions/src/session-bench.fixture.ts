/** Sessions on an engine in memory that tests step, and what they are asked. */
import type { Sealer } from '@cabstand/auth';
import { CabstandError, FakeClock } from '@cabstand/core';
import { FakeHost, testSealer } from '@cabstand/testing';
import type { SessionEvent } from './events';
import type { SessionOptions } from './options';
import { FakeReader } from './readers.fixture';
import type { Session } from './session';
import { FRESH, encodeState } from './resume/checkpoint-body';
import type { ResumeSpec } from './resume/plan';
import { Sessions } from './sessions';
import type { OpenRequest } from './opening';
import type { Epoch, SessionEnd, TurnContent } from './types';

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
  /** How sessions ended, as observers were told. */
  readonly ends: SessionEnd[];
}

export function bench(options: SessionOptions = {}, capacity = 4): Bench {
  const clock = new FakeClock();
  const host = new FakeHost(capacity);
  const ends: SessionEnd[] = [];
  const observe = (event: SessionEvent): void => {
    if (event.kind === 'ended') ends.push(event.end);
  };
  const sessions = new Sessions({ host, clock, sealer: testSealer(), options, observe });
  return { clock, host, sessions, ends };
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

/** What a consumer brings that goes on after turn 0 of a session of model `fake`, or within it. */
export function sealedResume(
  sealer: Sealer,
  session: string,
  principal: string,
  ended = true,
): ResumeSpec {
  const position = ended ? 1 : 0;
  const state = { ...FRESH, position, turn: 0, ended };
  const binding = { session, principal, model: 'fake', digest: 'sha256:00', position };
  const sealed = sealer.seal(binding, ...encodeState(state));
  return {
    checkpoint: { position, sealed },
    delivered: position - 1,
    turn: ended ? 1 : 0,
    turns: [],
  };
}
