/** Sessions of several principals on an engine in memory, and what became of them. */
import { CabstandError, FakeClock } from '@cabstand/core';
import { FakeHost, testSealer } from '@cabstand/testing';
import type { FakeSequence } from '@cabstand/testing';
import type { SessionOptions } from './options';
import { FakeReader } from './readers.fixture';
import { sealedResume } from './session-bench.fixture';
import type { Session } from './session';
import { Sessions } from './sessions';
import type { Retention, SessionEnd } from './types';

const forever = new AbortController().signal;
const content = { prompt: 'x', parameters: {}, tensors: [], live: false };
const epoch = { counter: 1, owner: 'aa' };
const END_STATE = { data: Buffer.alloc(64), records: 0, steps: 0, partsTaken: 0, ended: true };

/** No two moments are the same. */
class FineClock extends FakeClock {
  #reads = 0;

  override monotonic(): number {
    return super.monotonic() + ++this.#reads / 1000;
  }
}

export class IdleBench {
  readonly clock = new FineClock();
  readonly host: FakeHost;
  readonly sealer = testSealer();
  readonly sessions: Sessions;
  readonly ended: [string, SessionEnd][] = [];
  #ids = 0;

  /** @param places sequences that the engine has room for, those of idle sessions too */
  constructor(options: SessionOptions = {}, capacity = 2, places = capacity) {
    this.host = new FakeHost(capacity, places);
    this.sessions = new Sessions({
      ...{ host: this.host, clock: this.clock, sealer: this.sealer, options },
      observe: (event) => {
        if (event.kind === 'ended') this.ended.push([event.session.id, event.end]);
      },
    });
  }

  /** Ids of sessions that had to make room. */
  get evicted(): string[] {
    return this.ended.flatMap(([id, { reason }]) => (reason === 'evicted' ? [id] : []));
  }

  async open(principal = 'alice', retention: Retention = 'kept', priority = 0): Promise<Session> {
    const id = `${principal}-${this.#ids++}`;
    const wanted = { id, principal, model: 'fake', retention, epoch, priority };
    const session = await this.sessions.open(wanted, forever);
    this.#sequences.set(session, this.host.model.last);
    return session;
  }

  /** A session that goes on from elsewhere. */
  resume(id: string, principal: string): Promise<Session> {
    const resume = sealedResume(this.sealer, id, principal);
    const opening = { model: 'fake', retention: 'durable', epoch, priority: 0 } as const;
    return this.sessions.open({ ...opening, id, principal, resume }, forever);
  }

  /** A session with a turn that runs. */
  async running(principal?: string, retention?: Retention): Promise<Session> {
    const session = await this.open(principal, retention);
    this.turn(session);
    return session;
  }

  /** One whose turn waits for live input. */
  async live(principal?: string): Promise<Session> {
    const session = await this.open(principal, 'call');
    this.turn(session, true);
    return session;
  }

  /** Its reader goes away. */
  leave(session: Session): void {
    this.#readers.get(session)?.attachment?.detach('cancelled');
  }

  turn(session: Session, live = false): void {
    const reader = new FakeReader();
    reader.attachment = session.attach(reader, epoch, undefined);
    session.startTurn(session.turn + 1, { ...content, live });
    this.#readers.set(session, reader);
  }

  /** The engine gives a record of so many bytes, which nobody acknowledges. */
  produce(session: Session, bytes: number): void {
    this.#sequences.get(session)?.step(bytes);
  }

  /** Ends the turn that runs, and its call. A durable one's reader acknowledges all there is. */
  rest(session: Session, acknowledged = true): Session {
    this.finish(session, acknowledged);
    this.leave(session);
    return session;
  }

  /** Ends the turn that runs, and leaves the stream open. */
  finish(session: Session, acknowledged = true): void {
    const sequence = this.#sequences.get(session);
    const { turn, durable, turnRuns } = session;
    if (durable && turnRuns) sequence?.sink.snapshot(turn, END_STATE);
    sequence?.finish();
    if (durable && acknowledged) session.acknowledge(session.position - 1);
  }

  /** A session between turns whose consumer has its stream open, and has been silent for a moment. */
  async streamingIdle(principal?: string, retention: Retention = 'durable'): Promise<Session> {
    const session = await this.running(principal, retention);
    this.finish(session);
    await this.clock.advance(1000);
    this.sessions.tellProgress();
    return session;
  }

  readerOf(session: Session): FakeReader | undefined {
    return this.#readers.get(session);
  }

  /** The consumer of a session comes back, and starts nothing. */
  comeBack(session: Session): void {
    const reader = new FakeReader();
    reader.attachment = session.attach(reader, epoch, undefined);
    this.#readers.set(session, reader);
  }

  async idle(principal?: string, retention?: Retention): Promise<Session> {
    return this.rest(await this.running(principal, retention));
  }

  readonly #readers = new Map<Session, FakeReader>();
  readonly #sequences = new Map<Session, FakeSequence>();
}

export async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => CabstandError.from(error).reason,
  );
}
