import { CabstandError } from '@cabstand/core';
import { checkAddresses, checkNumber } from '../checks';
import { EventQueue } from '../protocol/event-queue';
import type {
  ChannelMessage,
  ChannelStart,
  EventSource,
  SessionChannel,
  SessionProtocol,
  SessionStatus,
  SessionUpdate,
  Target,
  TurnRequest,
} from '../protocol/types';
import { MockHoster, echo } from './hoster';
import type { MockFailure, MockProtocolOptions, MockTurn } from './types';

/** Events that wait for a reader before the mocked model does. */
const QUEUE = 16;
const MOST_TURNS = 10_000;

/**
 * Hosters inside this process, for tests of applications: no network, no models, failures on demand.
 *
 * ```ts
 * const mock = new MockProtocol({ answer: () => [{ text: 'hello' }] });
 * const remote = new RemoteManager({ hosters: mock.hosters });
 * const sessions = new SessionManager(remote, { protocol: mock });
 * mock.fail({ kind: 'die', after: 1 });
 * ```
 */
export class MockProtocol implements SessionProtocol {
  /** Addresses of the mocked hosters, for `RemoteManager`. */
  readonly hosters: readonly string[];
  /** Turns that hosters took, oldest first; at most 10,000. */
  readonly turns: MockTurn[] = [];
  readonly #hosters: ReadonlyMap<string, MockHoster>;
  #failures: { readonly failure: MockFailure; left: number }[] = [];

  constructor(options: MockProtocolOptions = {}) {
    this.hosters = checkAddresses('hosters', options.hosters ?? ['mock-1:1', 'mock-2:1']);
    const ackEvery = checkNumber('ackEvery', options.ackEvery ?? 0, 0, { whole: true });
    const capacity = checkNumber('capacity', options.capacity ?? Infinity, 1, { infinite: true });
    this.#hosters = new Map(
      this.hosters.map((address) => [
        address,
        new MockHoster({
          address,
          answer: options.answer ?? echo,
          ackEvery,
          capacity,
          nextFailure: () => this.#nextFailure(address),
          seen: (turn) => {
            this.turns.push(turn);
            if (this.turns.length > MOST_TURNS) this.turns.shift();
          },
        }),
      ]),
    );
  }

  /** Lets one of the next turns fail; failures come in the order in which they were given. */
  fail(failure: MockFailure): void {
    this.#failures.push({ failure, left: failure.times ?? 1 });
  }

  /** Sessions open at a hoster, or at all of them. */
  openSessions(hoster?: string): number {
    let count = 0;
    for (const [address, mock] of this.#hosters)
      if (hoster === undefined || hoster === address) count += mock.sessions.length;
    return count;
  }

  /** The highest position that was acknowledged; -1 for none. Throws SESSION_UNKNOWN. */
  acknowledged(sessionId: string): number {
    for (const hoster of this.#hosters.values())
      for (const session of hoster.sessions)
        if (session.id === sessionId) return session.acknowledged;
    throw new CabstandError('SESSION_UNKNOWN', `there is no session ${sessionId}`);
  }

  runTurn(target: Target, request: TurnRequest): EventSource {
    const queue = new EventQueue(QUEUE);
    try {
      this.#hoster(target).start({ ...request, live: false }, queue, true);
    } catch (thrown) {
      queue.end(CabstandError.from(thrown));
    }
    return queue;
  }

  openChannel(target: Target, start: ChannelStart): SessionChannel {
    return new MockChannel(this.#hosters.get(target.address), start);
  }

  async update(
    target: Target,
    session: { readonly sessionId: string },
    update: SessionUpdate,
  ): Promise<void> {
    await Promise.resolve();
    const hoster = this.#hoster(target);
    if (update.kind === 'ack') hoster.acknowledge(session.sessionId, update.position);
    else hoster.cancel(session.sessionId, update.turn);
  }

  async status(target: Target, sessionId: string): Promise<SessionStatus> {
    await Promise.resolve();
    return this.#hoster(target).status(sessionId);
  }

  async closeSession(target: Target, session: { readonly sessionId: string }): Promise<void> {
    await Promise.resolve();
    this.#hoster(target).close(session.sessionId);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #hoster(target: Target): MockHoster {
    const hoster = this.#hosters.get(target.address);
    if (hoster === undefined) throw noHoster(target.address);
    return hoster;
  }

  #nextFailure(address: string): MockFailure | undefined {
    const entry = this.#failures.find(
      ({ failure }) => failure.hoster === undefined || failure.hoster === address,
    );
    if (entry === undefined) return undefined;
    entry.left--;
    if (entry.left <= 0) this.#failures = this.#failures.filter((other) => other !== entry);
    return entry.failure;
  }
}

function noHoster(address: string): CabstandError {
  return new CabstandError('NODE_UNREACHABLE', `there is no mocked hoster ${address}`);
}

class MockChannel extends EventQueue implements SessionChannel {
  readonly #hoster: MockHoster | undefined;
  readonly #start: ChannelStart;

  constructor(hoster: MockHoster | undefined, start: ChannelStart) {
    super(QUEUE);
    this.#hoster = hoster;
    this.#start = start;
    if (hoster === undefined) this.end(noHoster('here'));
  }

  send(message: ChannelMessage): boolean {
    if (this.ended) return true;
    try {
      this.#take(message);
    } catch (thrown) {
      this.end(CabstandError.from(thrown));
    }
    return true;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  #take(message: ChannelMessage): void {
    const { sessionId, epoch } = this.#start;
    const hoster = this.#hoster;
    switch (message.kind) {
      case 'turn': {
        const model = this.#start.kind === 'open' ? this.#start.model : '';
        hoster?.start({ ...message, sessionId, epoch, model }, this, false);
        return;
      }
      case 'part':
        hoster?.part(sessionId, message);
        return;
      case 'ack':
        hoster?.acknowledge(sessionId, message.position);
        return;
      case 'cancel':
        hoster?.cancel(sessionId, message.turn);
        return;
      case 'close':
        hoster?.close(sessionId);
        this.push({ type: 'closed', reason: 'stopped', error: undefined });
        this.end();
    }
  }
}
