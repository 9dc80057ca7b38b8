import { CabstandError, checkOptions } from '@cabstand/core';
import { checkAddresses, checkNumber } from '../checks';
import { EventQueue } from '../protocol/event-queue';
import type {
  ChannelStart,
  Epoch,
  EventSource,
  ModelInputs,
  PreparedChannel,
  SessionChannel,
  SessionProtocol,
  SessionStatus,
  SessionUpdate,
  Target,
  TurnRequest,
} from '../protocol/types';
import { MockChannel, QUEUE } from './channel';
import { MockCheckpoints } from './checkpoints';
import { echo } from './echo';
import { MockHoster } from './hoster';
import type { MockSession } from './session';
import { FAILURE_NAMES, MOCK_NAMES } from './types';
import type { MockFailure, MockProtocolOptions, MockTurn } from './types';

const MOST_TURNS = 10_000;

interface SessionName {
  readonly sessionId: string;
  readonly epoch: Epoch;
}

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
  readonly #inputs: ModelInputs | undefined;
  #failures: { readonly failure: MockFailure; left: number }[] = [];

  constructor(options: MockProtocolOptions = {}) {
    checkOptions('new MockProtocol', options, MOCK_NAMES);
    this.hosters = checkAddresses('hosters', options.hosters ?? ['mock-1:1', 'mock-2:1']);
    this.#inputs = options.inputs && {
      ...{ digest: 'sha256:mock', inputs: [], framing: [], maxMessageBytes: Infinity },
      ...options.inputs,
    };
    const ackEvery = checkNumber('ackEvery', options.ackEvery ?? 0, 0, { whole: true });
    const checkpointEvery = checkNumber('checkpointEvery', options.checkpointEvery ?? 4, 0, {
      whole: true,
    });
    const checkpoints = new MockCheckpoints();
    const capacity = checkNumber('capacity', options.capacity ?? Infinity, 1, { infinite: true });
    this.#hosters = new Map(
      this.hosters.map((address) => [
        address,
        new MockHoster({
          address,
          answer: options.answer ?? echo,
          ackEvery,
          checkpointEvery,
          checkpoints,
          capacity,
          digest: () => options.digest?.(address) ?? 'sha256:mock',
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
    checkOptions('fail()', failure, FAILURE_NAMES);
    this.#failures.push({ failure, left: failure.times ?? 1 });
  }

  /** A hoster goes down and stays down; its sessions are lost. */
  stop(hoster: string): void {
    this.#known(hoster).stop();
  }

  /** It comes up again, without its sessions. */
  start(hoster: string): void {
    this.#known(hoster).start();
  }

  /** A hoster announces that it wants to go, and takes nothing new. */
  drain(hoster: string, deadlineMs = 10_000): void {
    this.#known(hoster).drain(deadlineMs);
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
    let session: MockSession | undefined;
    const queue = new EventQueue(QUEUE, () => {
      if (session !== undefined) this.#hosters.get(target.address)?.left(session, queue);
    });
    try {
      const hoster = this.#hoster(target);
      const known = hoster.has(request.sessionId);
      const opens = request.turn === 0 && !known;
      session = opens ? hoster.open(request) : hoster.find(request.sessionId);
      session.claim(request.epoch);
      try {
        hoster.startTurn(session, { ...request, live: false });
      } catch (thrown) {
        if (opens) hoster.close(session);
        throw thrown;
      }
      hoster.attach(session, queue, request.fromPosition, request.turn);
    } catch (thrown) {
      queue.end(CabstandError.from(thrown));
    }
    return queue;
  }

  openChannel(target: Target, start: ChannelStart): SessionChannel {
    return new MockChannel(() => this.#hoster(target), start);
  }

  prepareChannel(target: Target): PreparedChannel {
    const ready = Promise.resolve().then(() => void this.#hoster(target));
    ready.catch(() => undefined);
    return {
      ready,
      cancel: () => undefined,
      begin: (start) => this.openChannel(target, start),
    };
  }

  async update(target: Target, session: SessionName, update: SessionUpdate): Promise<void> {
    await Promise.resolve();
    const hoster = this.#hoster(target);
    const found = hoster.find(session.sessionId);
    found.claim(session.epoch);
    if (update.kind === 'handover') await hoster.handover(found);
    else if (update.kind === 'ack') found.acknowledge(update.position);
    else hoster.cancel(found, update.turn);
  }

  async status(target: Target, sessionId: string): Promise<SessionStatus> {
    await Promise.resolve();
    return this.#hoster(target).status(sessionId);
  }

  async closeSession(target: Target, session: SessionName): Promise<void> {
    await Promise.resolve();
    const hoster = this.#hoster(target);
    const found = hoster.find(session.sessionId);
    found.claim(session.epoch);
    hoster.close(found);
  }

  async modelInputs(target: Target): Promise<ModelInputs | undefined> {
    await Promise.resolve();
    this.#hoster(target);
    return this.#inputs;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #hoster(target: Target): MockHoster {
    return this.#known(target.address).reach();
  }

  #known(address: string): MockHoster {
    const hoster = this.#hosters.get(address);
    if (hoster === undefined)
      throw new CabstandError('NODE_UNREACHABLE', `there is no mocked hoster ${address}`);
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
