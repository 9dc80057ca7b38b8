import { WireProtocol } from '@cabstand/client/protocol';
import { BoundedMap, CabstandError, checkOptions, invalid, systemClock } from '@cabstand/core';
import type { HosterHandlers } from '@cabstand/rpc';
import { testSealer } from '../engine/fake-host';
import { Deliveries } from './deliveries';
import { echo } from './echo';
import { MemoryHoster } from './hoster';
import { MemoryCalls } from './memory-calls';
import type { ScriptedState } from './sequence-init';
import { FAILURE_NAMES, MOCK_NAMES } from './types';
import type { MockFailure, MockProtocolOptions, MockTurn } from './types';

const MOST_TURNS = 10_000;
const MOST_STATES = 10_000;
/** Acks of durable sessions, where nothing else is asked for. */
const ACK_EVERY = 16;
/** A hoster asks for acks when this share of its journal is full. */
const JOURNALS_PER_ACK = 4;
/** Slots of a hoster that is never full. */
const PLENTY = 1_000_000;

/**
 * Hosters inside this process, for tests of applications: no network, no models, failures on demand. Their
 * sessions are those of real hosters.
 *
 * ```ts
 * const mock = new MockProtocol({ answer: () => [{ text: 'hello' }] });
 * const remote = new RemoteManager({ hosters: mock.hosters });
 * const sessions = new SessionManager(remote, { protocol: mock });
 * mock.fail({ kind: 'die', after: 1 });
 * ```
 */
export class MockProtocol extends WireProtocol {
  /** Addresses of the mocked hosters, for `RemoteManager`. */
  readonly hosters: readonly string[];
  /** Turns that hosters took, oldest first; at most 10,000. */
  readonly turns: MockTurn[] = [];
  readonly #hosters: ReadonlyMap<string, MemoryHoster>;
  #failures: { readonly failure: MockFailure; left: number }[] = [];

  constructor(options: MockProtocolOptions = {}) {
    super((address) => new MemoryCalls(this.handlers(address)));
    checkOptions('new MockProtocol', options, MOCK_NAMES);
    const { answer = echo, clock = systemClock, capacity = PLENTY } = options;
    const ackEvery = atLeast('ackEvery', options.ackEvery ?? 0, 0) || ACK_EVERY;
    const checkpointEvery = atLeast('checkpointEvery', options.checkpointEvery ?? 4, 0);
    const shared = {
      ...{ answer, clock, sealer: testSealer(), deliveries: new Deliveries() },
      capacity: Math.min(PLENTY, atLeast('capacity', capacity, 1)),
      states: new BoundedMap<string, ScriptedState>(MOST_STATES),
      module: options.module,
      models: options.models ?? [],
      inputs: options.inputs && {
        ...{ digest: '', inputs: [], framing: [], maxMessageBytes: Infinity },
        ...options.inputs,
      },
      options: {
        journalRecords: JOURNALS_PER_ACK * ackEvery,
        snapshotRecords: checkpointEvery || PLENTY,
      },
      seen: (turn: MockTurn): void => {
        this.turns.push(turn);
        if (this.turns.length > MOST_TURNS) this.turns.shift();
      },
    };
    this.hosters = options.hosters ?? ['mock-1:1', 'mock-2:1'];
    this.#hosters = new Map(
      this.hosters.map((address) => [
        address,
        new MemoryHoster({
          ...shared,
          address,
          digest: () => options.digest?.(address) ?? 'sha256:mock',
          nextFailure: () => this.#nextFailure(address),
        }),
      ]),
    );
  }

  /** What a mocked hoster answers calls with: for a server on a real port. */
  handlers(hoster: string): HosterHandlers {
    return this.#known(hoster).handlers;
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
    for (const [address, { sessions }] of this.#hosters)
      if (hoster === undefined || hoster === address) count += sessions?.size ?? 0;
    return count;
  }

  /** The highest position that was acknowledged; -1 for none. Throws SESSION_UNKNOWN. */
  acknowledged(sessionId: string): number {
    for (const { sessions } of this.#hosters.values())
      for (const session of sessions?.all() ?? [])
        if (session.id === sessionId)
          return sessions?.status(sessionId, session.principal).acknowledged ?? -1;
    throw new CabstandError('SESSION_UNKNOWN', `there is no session ${sessionId}`);
  }

  /** Commands of modules that a hoster was told of by the consumers of its sessions, and that took no effect yet. */
  commandsWaiting(hoster: string): number {
    let count = 0;
    for (const { commands } of this.#known(hoster).sessions?.all() ?? [])
      if (commands !== undefined) count += commands.next - commands.applied;
    return count;
  }

  #known(address: string): MemoryHoster {
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

function atLeast(option: string, value: number, minimum: number): number {
  if (value === Infinity || (Number.isSafeInteger(value) && value >= minimum)) return value;
  throw invalid('INVALID_ARGUMENT', option, value, `a whole number of at least ${minimum}`);
}
