import { CabstandError, invalid } from '@cabstand/core';
import type { EventQueue } from '../protocol/event-queue';
import type { EndReason } from '../protocol/events';
import type {
  LivePart,
  OpenFields,
  ResumeRequest,
  SessionStatus,
  TurnInput,
} from '../protocol/types';
import type { MockCheckpoints, MockSnapshot } from './checkpoints';
import { MockParts } from './parts';
import { MockSession } from './session';
import type { MockRecordBody, MockRunning } from './session';
import type { MockFailure, MockProtocolOptions, MockRecord, MockTurn } from './types';

export interface MockHosterContext {
  readonly address: string;
  readonly answer: NonNullable<MockProtocolOptions['answer']>;
  readonly ackEvery: number;
  readonly checkpointEvery: number;
  readonly capacity: number;
  readonly checkpoints: MockCheckpoints;
  readonly digest: () => string;
  /** The failure that what begins now is to have. */
  readonly nextFailure: () => MockFailure | undefined;
  readonly seen: (turn: MockTurn) => void;
}

export interface MockTurnStart {
  readonly turn: number;
  readonly input: TurnInput;
  readonly live: boolean;
}

/** Acks of durable sessions, where nothing else is asked for. */
const ACK_EVERY = 16;

/** After a failure: the turn goes on, is over without an end, or ends now. */
type Strike = 'on' | 'over' | 'end';

let incarnations = 0;

/** A hoster without a network and without models: sessions, turns, positions, checkpoints. */
export class MockHoster {
  readonly #context: MockHosterContext;
  readonly #sessions = new Map<string, MockSession>();
  /** Parts applied before the checkpoint that a session was taken up from. */
  readonly #resumed = new WeakMap<MockSession, MockSnapshot>();
  #incarnation = `mock-${++incarnations}`;
  #state: 'up' | 'draining' | 'down' = 'up';

  constructor(context: MockHosterContext) {
    this.#context = context;
  }

  get sessions(): readonly MockSession[] {
    return [...this.#sessions.values()];
  }

  /** Its sessions are gone, and calls find nobody until `start`. */
  stop(): void {
    this.#die();
    this.#state = 'down';
  }

  start(): void {
    this.#state = 'up';
  }

  /** Tells its consumers that it wants to go, and takes nothing new. */
  drain(deadlineMs: number): void {
    this.#state = 'draining';
    for (const session of this.#sessions.values()) session.notify({ type: 'draining', deadlineMs });
  }

  /** Throws NODE_UNREACHABLE while it is down. */
  reach(): this {
    if (this.#state === 'down') throw this.#unreachable();
    return this;
  }

  /** Opens a session, or takes one up that another hoster had. Throws what it is refused with. */
  open(fields: OpenFields): MockSession {
    const known = this.#sessions.get(fields.sessionId);
    if (this.#state === 'draining') throw new CabstandError('DRAINING', 'the hoster wants to go');
    if (known !== undefined) {
      known.claim(fields.epoch);
      if (fields.resume === undefined) return known;
      this.#forget(known);
    } else if (this.#sessions.size >= this.#context.capacity)
      throw new CabstandError('HOSTER_FULL', 'all slots are taken', { retryAfterMs: 100 });
    const { sessionId: id, model, durable, epoch, resume } = fields;
    const snapshot = resume && this.#snapshot(fields, resume);
    const session = new MockSession(
      {
        id,
        model,
        digest: this.#context.digest(),
        durable,
        epoch,
        turn: snapshot?.turn ?? 0,
        position: snapshot?.turnStart ?? 0,
      },
      (resume?.deliveredPosition ?? -1) + 1,
    );
    if (snapshot !== undefined) this.#resumed.set(session, snapshot);
    this.#sessions.set(id, session);
    return session;
  }

  /** Throws SESSION_UNKNOWN. */
  find(sessionId: string): MockSession {
    const session = this.#sessions.get(sessionId);
    if (session === undefined)
      throw new CabstandError('SESSION_UNKNOWN', `there is no session ${sessionId}`);
    return session;
  }

  has(sessionId: string): boolean {
    return this.#sessions.has(sessionId);
  }

  attach(session: MockSession, queue: EventQueue, from: number, untilTurn?: number): void {
    const ackEvery = this.#context.ackEvery || (session.durable ? ACK_EVERY : 0);
    queue.push({
      type: 'opened',
      sessionId: session.id,
      position: from,
      model: session.model,
      version: '1',
      digest: session.digest,
      provider: 'cpu',
      ackEvery,
      ackRecords: ackEvery,
      ackBytes: 0,
      nodeId: this.#context.address,
      incarnation: this.#incarnation,
    });
    session.attach({ queue, untilTurn }, from);
    const { running } = session;
    if (running !== undefined)
      queue.push({ type: 'accepted', turn: running.turn, nextPart: running.parts.used });
  }

  /** A consumer went away without a word. */
  left(session: MockSession, queue: EventQueue): void {
    session.left(queue);
    if (!session.durable && session.running !== undefined) this.#forget(session);
  }

  /** Throws what the turn is refused with. One that was sent before is left as it is. */
  startTurn(session: MockSession, start: MockTurnStart): void {
    const { running } = session;
    if (session.durable && (running?.turn === start.turn || start.turn === session.turn - 1))
      return;
    if (running !== undefined)
      throw new CabstandError('SESSION_BUSY', 'a turn of this session is running');
    if (start.turn !== session.turn)
      throw invalid('TURN_OUT_OF_ORDER', 'turn', start.turn, String(session.turn));
    const failure = this.#failure();
    const { address, seen } = this.#context;
    const snapshot = this.#resumed.get(session);
    const known = snapshot?.turn === start.turn ? snapshot.parts : [];
    const parts = start.live
      ? new MockParts(known, (sequence) => this.#partTaken(session, start.turn, sequence))
      : new MockParts([start.input.tensors]);
    const turn: MockTurn = {
      hoster: address,
      sessionId: session.id,
      model: session.model,
      turn: start.turn,
      prompt: start.input.prompt,
      tensors: start.input.tensors,
      parameters:
        start.input.parameters === ''
          ? {}
          : (JSON.parse(start.input.parameters) as Record<string, unknown>),
      live: start.live,
      parts,
    };
    seen(turn);
    let stopped: () => void = () => undefined;
    const now: MockRunning = {
      turn: start.turn,
      start: session.position,
      parts,
      cancelled: false,
      handover: false,
      stopped: new Promise((resolve) => {
        stopped = resolve;
      }),
    };
    session.running = now;
    void this.#run(session, now, turn, failure).then(stopped);
  }

  part(session: MockSession, part: LivePart): void {
    session.running?.parts.add(part);
  }

  cancel(session: MockSession, turn: number): void {
    const { running } = session;
    if (running?.turn !== turn) return;
    running.cancelled = true;
    running.parts.end();
    session.change();
  }

  /** Stops at the next step and gives the session away. */
  async handover(session: MockSession): Promise<void> {
    const { running } = session;
    if (running !== undefined) {
      running.handover = true;
      running.parts.end();
      session.change();
      await running.stopped;
    }
    this.#sessions.delete(session.id);
    void session.flushed().then(() => {
      session.notify({ type: 'closed', reason: 'migrated', error: undefined });
      session.release(undefined);
    });
  }

  status(sessionId: string): SessionStatus {
    const session = this.find(sessionId);
    return {
      state: session.attached ? 'streaming' : 'orphaned',
      position: session.position,
      turn: session.turn,
      acknowledgedPosition: session.acknowledged,
      epoch: session.epoch.counter,
      model: session.model,
    };
  }

  close(session: MockSession): void {
    session.running?.parts.end();
    this.#forget(session);
  }

  #forget(session: MockSession): void {
    session.gone = true;
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    session.change();
  }

  #die(): void {
    const error = this.#unreachable();
    for (const session of [...this.#sessions.values()]) {
      this.#forget(session);
      session.running?.parts.end();
      session.release(error);
    }
    this.#incarnation = `mock-${++incarnations}`;
  }

  #unreachable(): CabstandError {
    return new CabstandError('NODE_UNREACHABLE', `${this.#context.address} went down`);
  }

  /** The failure that a turn is to have. Throws one that refuses it. */
  #failure(): MockFailure | undefined {
    const failure = this.#context.nextFailure();
    if (failure?.kind === 'refuse') throw failureError(failure, 'HOSTER_FULL');
    return failure;
  }

  #snapshot(fields: OpenFields, resume: ResumeRequest): MockSnapshot | undefined {
    const { checkpoint, deliveredPosition } = resume;
    if (checkpoint === undefined) return undefined;
    const { checkpoints, digest } = this.#context;
    const snapshot = checkpoints.open(checkpoint, { ...fields, digest: digest() });
    if (snapshot.position <= deliveredPosition + 1) return snapshot;
    throw new CabstandError('CHECKPOINT_INVALID', 'the checkpoint is ahead of its consumer', {
      metadata: { problem: 'position' },
    });
  }

  #partTaken(session: MockSession, turn: number, sequence: number): void {
    if (session.durable) session.append(turn, { body: 'input', sequence });
    session.notify({ type: 'accepted', turn, nextPart: sequence + 1 });
  }

  #seal(session: MockSession, running: MockRunning | undefined): void {
    session.checkpoint = this.#context.checkpoints.seal({
      sessionId: session.id,
      model: session.model,
      digest: session.digest,
      position: session.position,
      turn: session.turn,
      turnStart: running?.start ?? session.position,
      parts: running?.parts.applied ?? [],
    });
  }

  async #run(
    session: MockSession,
    running: MockRunning,
    turn: MockTurn,
    planned: MockFailure | undefined,
  ): Promise<void> {
    const { checkpointEvery } = this.#context;
    const { durable } = session;
    let steps = 0;
    /** Records that are new to the consumer. */
    let fresh = 0;
    let failure = planned;
    const due = (): boolean =>
      failure !== undefined && session.caughtUp && fresh >= (failure.after ?? 0);
    let error: CabstandError | undefined;
    const strike = async (): Promise<Strike> => {
      if (!due()) return 'on';
      const after = await this.#strike(session, failure);
      if (after === 'end' && failure?.kind === 'error') error = failureError(failure, 'INTERNAL');
      failure = undefined;
      return after;
    };
    let after: Strike = 'on';
    try {
      for await (const record of this.#context.answer(turn)) {
        after = await strike();
        if (after !== 'on') break;
        await session.room();
        if (session.gone) break;
        if (session.caughtUp && (running.cancelled || running.handover)) break;
        const isNew = session.append(running.turn, chunk(record));
        steps++;
        if (isNew) fresh++;
        if (durable && checkpointEvery > 0 && steps % checkpointEvery === 0) {
          this.#seal(session, running);
          session.change();
        }
      }
    } catch (thrown) {
      error = CabstandError.from(thrown);
    }
    if (after === 'on') after = await strike();
    if (session.gone || after === 'over') return;
    if (running.handover) {
      this.#seal(session, running);
      session.running = undefined;
      return;
    }
    const reason: EndReason =
      error !== undefined ? 'error' : running.cancelled ? 'cancelled' : 'completed';
    session.running = undefined;
    session.turn++;
    if (durable) {
      session.position++;
      this.#seal(session, undefined);
      session.position--;
    }
    const { checkpoint } = session;
    session.append(running.turn, { body: 'end', reason, error, steps, checkpoint });
  }

  async #strike(session: MockSession, failure: MockFailure | undefined): Promise<Strike> {
    await session.flushed();
    switch (failure?.kind) {
      case 'repeat':
        session.repeat();
        return 'on';
      case 'stall':
        return 'over';
      case 'cut':
      case 'disconnect': {
        const broke =
          failure.error === undefined
            ? new CabstandError('NODE_UNREACHABLE', 'the connection broke')
            : failureError(failure, 'INTERNAL');
        session.release(failure.kind === 'cut' ? undefined : broke);
        if (session.durable) return 'on';
        this.#forget(session);
        return 'over';
      }
      case 'fence':
        session.claim({ counter: session.epoch.counter + 1_000, owner: new Uint8Array(16) });
        return 'over';
      case 'die':
        this.#die();
        return 'over';
      case 'gap':
        session.position++;
        return 'end';
      default:
        return 'end';
    }
  }
}

function chunk(record: MockRecord): MockRecordBody {
  return { body: 'chunk', tensors: record.tensors ?? [], text: record.text ?? '' };
}

function failureError(failure: MockFailure | undefined, fallback: 'HOSTER_FULL' | 'INTERNAL') {
  const error = failure?.error ?? fallback;
  return CabstandError.is(error) ? error : new CabstandError(error, `mocked: ${error}`);
}
