import { CabstandError, every } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { ticketVerifier } from '@cabstand/auth';
import type { Sealer } from '@cabstand/auth';
import { modelInfo, sessionHandlers } from '@cabstand/hosting';
import type { HosterHandlers, ServerCall, StreamWriter, v1 } from '@cabstand/rpc';
import { Sessions } from '@cabstand/sessions';
import type { Session, SessionOptions } from '@cabstand/sessions';
import type { Deliveries } from './deliveries';
import { Outgoing } from './outgoing';
import { ProcessClock } from './process-clock';
import { ScriptedHost } from './scripted-model';
import type { ScriptedHostInit } from './scripted-model';
import { Trial, failureError } from './strike';
import type { Struck } from './strike';
import type { MockFailure } from './types';

const PROGRESS_MS = 1000;
const DRAIN_MS = 10_000;
const VERSION = '0';
const OWNER = '00'.repeat(16);
/** No consumer comes so far by itself. */
const MUCH_NEWER = 1000;

export interface MemoryHosterInit extends Omit<ScriptedHostInit, 'trial' | 'hoster'> {
  readonly address: string;
  readonly clock: Clock;
  readonly sealer: Sealer;
  readonly options: SessionOptions;
  readonly deliveries: Deliveries;
  /** Names of those that it tells of. */
  readonly models: readonly string[];
  /** The failure that what begins now is to have. */
  readonly nextFailure: () => MockFailure | undefined;
}

/** One process of a hoster, from its start to its end. */
interface Life {
  readonly sessions: Sessions;
  readonly clock: ProcessClock;
  readonly host: ScriptedHost;
  readonly progress: Timer;
  readonly handlers: ReturnType<typeof sessionHandlers>;
  readonly incarnation: string;
  readonly streams: Set<Outgoing<v1.SessionStreamResponse>>;
  /** Sessions of which nothing more is heard. */
  readonly stalled: Set<string>;
}

let incarnations = 0;

/** A hoster inside this process: the real session core and calls, on models that are functions. */
export class MemoryHoster {
  readonly handlers: HosterHandlers;
  readonly #init: MemoryHosterInit;
  #life: Life | undefined;

  constructor(init: MemoryHosterInit) {
    this.#init = init;
    this.start();
    this.handlers = {
      rpc_info: (request) => this.#info(request),
      rpc_inference_stream: (request, call, out) =>
        this.#stream(call, out, (life, inner, writer) => {
          if (request.resume) this.#replace(request.session_id);
          return life.handlers.rpc_inference_stream(request, inner, writer);
        }),
      rpc_session_stream: (requests, call, out) =>
        this.#stream(call, out, (life, inner, writer) =>
          life.handlers.rpc_session_stream(this.#opening(requests), inner, writer),
        ),
      rpc_session_update: (...args) => this.#reach().handlers.rpc_session_update(...args),
      rpc_session_status: (...args) => this.#reach().handlers.rpc_session_status(...args),
      rpc_share_session: (...args) => this.#reach().handlers.rpc_share_session(...args),
      rpc_close_session: (...args) => this.#reach().handlers.rpc_close_session(...args),
    };
  }

  /** Undefined while it is down. */
  get sessions(): Sessions | undefined {
    return this.#life?.sessions;
  }

  /** Its sessions are gone, and calls find nobody until `start`. */
  stop(): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    life.clock.stop();
    life.host.die();
    for (const stream of [...life.streams]) stream.breakOff(this.#unreachable());
    this.#init.deliveries.changed();
  }

  start(): void {
    if (this.#life !== undefined) {
      this.#life.sessions.undrain();
      return;
    }
    const { address, sealer, options } = this.#init;
    const clock = new ProcessClock(this.#init.clock);
    const host = new ScriptedHost({
      ...this.#init,
      hoster: address,
      trial: (session, turn) => this.#trial(session, turn),
    });
    const sessions = new Sessions({ host, clock, sealer, options });
    const incarnation = `mock-${++incarnations}`;
    const handlers = sessionHandlers({
      ...{ sessions, host, tickets: ticketVerifier(), leaseConsumed: () => undefined },
      identity: { nodeId: address, incarnation, version: VERSION },
    });
    const progress = every(clock, PROGRESS_MS, () => sessions.tellProgress());
    const streams = new Set<Outgoing<v1.SessionStreamResponse>>();
    const stalled = new Set<string>();
    this.#life = { sessions, clock, host, progress, handlers, incarnation, streams, stalled };
  }

  /** Tells its consumers that it wants to go, and takes nothing new. */
  drain(deadlineMs: number): void {
    this.#life?.sessions.drain(deadlineMs);
  }

  #reach(): Life {
    if (this.#life === undefined) throw this.#unreachable();
    return this.#life;
  }

  #unreachable(): CabstandError {
    return new CabstandError('NODE_UNREACHABLE', `${this.#init.address} went down`);
  }

  async #stream<Res extends v1.SessionStreamResponse>(
    call: ServerCall,
    out: StreamWriter<Res>,
    handle: (life: Life, call: ServerCall, out: StreamWriter<Res>) => Promise<void>,
  ): Promise<void> {
    const life = this.#reach();
    const { deliveries } = this.#init;
    const stream = new Outgoing(out, {
      opened: (session) => {
        if (life.stalled.has(session)) stream.stall();
      },
      record: (record) => deliveries.record(stream.session, record),
    });
    life.streams.add(stream);
    try {
      await stream.run(call, (inner) => handle(life, inner, stream));
    } finally {
      life.streams.delete(stream);
      deliveries.changed();
    }
  }

  async *#opening(
    requests: AsyncIterable<v1.SessionStreamRequest__Output>,
  ): AsyncGenerator<v1.SessionStreamRequest__Output> {
    for await (const request of requests) {
      if (request.open?.resume) this.#replace(request.open.session_id);
      yield request;
    }
  }

  /** Whoever goes on with a session whose engine stands still gets another engine. */
  #replace(session: string): void {
    if (this.#life?.stalled.delete(session) !== true) return;
    this.#struck(session).abort(new CabstandError('ENGINE_STALLED', 'its engine stood still'));
  }

  #trial(session: string, turn: number): Trial {
    const { nextFailure, deliveries } = this.#init;
    const failure = nextFailure();
    if (failure?.kind === 'refuse') throw failureError(failure, 'HOSTER_FULL');
    return new Trial(failure, this.#struck(session), turn, deliveries.of(session, turn));
  }

  #struck(session: string): Struck {
    const life = this.#reach();
    const { deliveries } = this.#init;
    const streams = () => [...life.streams].filter((stream) => stream.session === session);
    const known = (): Session | undefined =>
      [...life.sessions.all()].find(({ id }) => id === session);
    const toEach = (strike: (stream: Outgoing<v1.SessionStreamResponse>) => void): void =>
      streams().forEach(strike);
    return {
      delivered: (turn, records) =>
        deliveries.reach(() => streams().length === 0 || deliveries.of(session, turn) >= records),
      repeat: () => toEach((stream) => stream.repeat()),
      spoil: (how) => toEach((stream) => stream.spoil(how)),
      drain: () => this.drain(DRAIN_MS),
      stall: () => {
        life.stalled.add(session);
        toEach((stream) => stream.stall());
      },
      breakOff: (error) => toEach((stream) => stream.breakOff(error)),
      fence: () => {
        const { epoch } = known() ?? {};
        if (epoch) known()?.claim({ counter: epoch.counter + MUCH_NEWER, owner: OWNER });
      },
      abort: (error) => {
        const one = known();
        if (one !== undefined) life.sessions.discard(one, { reason: 'error', error });
      },
      die: () => {
        this.stop();
        this.start();
      },
    };
  }

  #info({ models }: v1.InfoRequest__Output): v1.InfoResponse {
    const { sessions, host, incarnation } = this.#reach();
    const { inputs, address, models: told } = this.#init;
    const asked = models.length === 0 ? told : models;
    const { openness, options } = sessions;
    const max = inputs?.maxMessageBytes ?? Infinity;
    return {
      ...{ version: VERSION, node_id: address, incarnation, open_sessions: sessions.size },
      draining: openness.kind !== 'open',
      models:
        inputs === undefined && told.length === 0
          ? []
          : asked.map((name) => {
              const model = host.resolve(name);
              return modelInfo(model, sessions.freeSlots(model), ({ message }) => message);
            }),
      limits: Number.isFinite(max)
        ? { max_message_bytes: max, max_sessions: options.maxSessions }
        : null,
    };
  }
}
