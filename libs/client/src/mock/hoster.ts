import { CabstandError, invalid } from '@cabstand/core';
import type { EndReason, RecordEvent } from '../protocol/events';
import type { EventQueue } from '../protocol/event-queue';
import type { Epoch, LivePart, SessionStatus, TurnInput } from '../protocol/types';
import { MockParts } from './parts';
import type { MockFailure, MockProtocolOptions, MockRecord, MockTurn } from './types';

export interface MockSession {
  readonly id: string;
  readonly model: string;
  readonly epoch: number;
  position: number;
  /** The next turn. */
  turn: number;
  acknowledged: number;
  running: { cancelled: boolean; readonly parts: MockParts } | undefined;
}

export interface MockHosterContext {
  readonly address: string;
  readonly answer: NonNullable<MockProtocolOptions['answer']>;
  readonly ackEvery: number;
  readonly capacity: number;
  /** The failure that this turn is to have. */
  readonly nextFailure: () => MockFailure | undefined;
  readonly seen: (turn: MockTurn) => void;
}

export interface MockTurnStart {
  readonly sessionId: string;
  readonly epoch: Epoch;
  readonly model: string;
  readonly turn: number;
  readonly input: TurnInput;
  readonly live: boolean;
}

let incarnations = 0;

/** A hoster without a network and without models: sessions, turns, positions. */
export class MockHoster {
  readonly #context: MockHosterContext;
  readonly #sessions = new Map<string, MockSession>();
  #incarnation = `mock-${++incarnations}`;

  constructor(context: MockHosterContext) {
    this.#context = context;
  }

  get sessions(): readonly MockSession[] {
    return [...this.#sessions.values()];
  }

  /** Throws what the hoster refuses the turn with; otherwise records follow on the queue. */
  start(request: MockTurnStart, queue: EventQueue, endsWithTurn: boolean): void {
    const { address, nextFailure, seen } = this.#context;
    const failure = nextFailure();
    if (failure?.kind === 'refuse') throw failureError(failure, 'HOSTER_FULL');
    const session = this.#sessionFor(request);
    const parts = new MockParts(request.live ? undefined : request.input.tensors);
    const turn: MockTurn = {
      hoster: address,
      sessionId: session.id,
      model: session.model,
      turn: request.turn,
      prompt: request.input.prompt,
      tensors: request.input.tensors,
      parameters:
        request.input.parameters === ''
          ? {}
          : (JSON.parse(request.input.parameters) as Record<string, unknown>),
      live: request.live,
      parts: request.live ? parts.announced(queue, request.turn) : parts,
    };
    seen(turn);
    session.running = { cancelled: false, parts };
    queue.push({
      type: 'opened',
      sessionId: session.id,
      position: session.position,
      model: session.model,
      version: '1',
      digest: 'sha256:mock',
      provider: 'cpu',
      ackEvery: this.#context.ackEvery,
      nodeId: address,
      incarnation: this.#incarnation,
    });
    void this.#run(session, turn, failure, queue).then((over) => {
      if (endsWithTurn && over) queue.end();
    });
  }

  part(sessionId: string, part: LivePart): void {
    this.#find(sessionId).running?.parts.add(part);
  }

  cancel(sessionId: string, turn: number): void {
    const session = this.#find(sessionId);
    if (session.running === undefined || session.turn !== turn) return;
    session.running.cancelled = true;
    session.running.parts.end();
  }

  acknowledge(sessionId: string, position: number): void {
    const session = this.#find(sessionId);
    session.acknowledged = Math.max(session.acknowledged, position);
  }

  status(sessionId: string): SessionStatus {
    const session = this.#find(sessionId);
    return {
      state: 'streaming',
      position: session.position,
      turn: session.turn,
      acknowledgedPosition: session.acknowledged,
      epoch: session.epoch,
      model: session.model,
    };
  }

  close(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    session?.running?.parts.end();
    this.#sessions.delete(sessionId);
  }

  #sessionFor(request: MockTurnStart): MockSession {
    const known = this.#sessions.get(request.sessionId);
    if (request.turn === 0 && known === undefined) {
      if (this.#sessions.size >= this.#context.capacity)
        throw new CabstandError('HOSTER_FULL', 'all slots are taken', { retryAfterMs: 100 });
      const session: MockSession = {
        id: request.sessionId,
        model: request.model,
        epoch: request.epoch.counter,
        position: 0,
        turn: 0,
        acknowledged: -1,
        running: undefined,
      };
      this.#sessions.set(session.id, session);
      return session;
    }
    const session = this.#find(request.sessionId);
    if (session.running !== undefined)
      throw new CabstandError('SESSION_BUSY', 'a turn of this session is running');
    if (request.turn !== session.turn)
      throw invalid('TURN_OUT_OF_ORDER', 'turn', request.turn, String(session.turn));
    return session;
  }

  #find(sessionId: string): MockSession {
    const session = this.#sessions.get(sessionId);
    if (session === undefined)
      throw new CabstandError('SESSION_UNKNOWN', `there is no session ${sessionId}`);
    return session;
  }

  /** True if the turn came to its end; false if the stream broke off or stands still. */
  async #run(
    session: MockSession,
    turn: MockTurn,
    failure: MockFailure | undefined,
    queue: EventQueue,
  ): Promise<boolean> {
    const { running } = session;
    let steps = 0;
    const fails = (): boolean => failure !== undefined && steps === (failure.after ?? 0);
    let error: CabstandError | undefined;
    try {
      for await (const record of this.#context.answer(turn)) {
        if (fails() && failure?.kind !== 'repeat') break;
        await queue.room();
        if (queue.ended || running?.cancelled === true) break;
        const event = this.#chunk(session, record);
        queue.push(event);
        steps++;
        if (fails() && failure?.kind === 'repeat') queue.push(event);
      }
    } catch (thrown) {
      error = CabstandError.from(thrown);
    }
    session.running = undefined;
    if (queue.ended) {
      // Whoever leaves without a word loses a session that is not durable.
      this.#sessions.delete(session.id);
      return false;
    }
    const kind = fails() ? failure?.kind : undefined;
    if (kind === 'stall') return false;
    if (kind === 'cut') {
      queue.end();
      return false;
    }
    if (kind === 'die') {
      this.#sessions.clear();
      this.#incarnation = `mock-${++incarnations}`;
      queue.end(new CabstandError('NODE_UNREACHABLE', `${this.#context.address} went down`));
      return false;
    }
    if (kind === 'gap') session.position++;
    if (kind === 'error') error = failureError(failure, 'INTERNAL');
    const reason: EndReason =
      error !== undefined ? 'error' : running?.cancelled === true ? 'cancelled' : 'completed';
    queue.push({
      ...this.#next(session),
      body: 'end',
      reason,
      error,
      steps,
      checkpoint: undefined,
    });
    session.turn++;
    return true;
  }

  #chunk(session: MockSession, record: MockRecord): RecordEvent {
    return {
      ...this.#next(session),
      body: 'chunk',
      tensors: record.tensors ?? [],
      text: record.text ?? '',
    };
  }

  #next(session: MockSession) {
    const { turn, epoch } = session;
    return { type: 'record', position: session.position++, turn, epoch } as const;
  }
}

function failureError(failure: MockFailure | undefined, fallback: 'HOSTER_FULL' | 'INTERNAL') {
  const error = failure?.error ?? fallback;
  return CabstandError.is(error) ? error : new CabstandError(error, `mocked: ${error}`);
}

/** The default model: gives back what it is given. */
export async function* echo(turn: MockTurn): AsyncGenerator<MockRecord> {
  for (const word of turn.prompt.split(' ')) if (word !== '') yield { text: word };
  for await (const tensors of turn.parts) if (tensors.length > 0) yield { tensors };
}
