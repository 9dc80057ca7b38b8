import {
  CabstandError,
  abortReason,
  abortable,
  backoffDelay,
  linkSignals,
  sleep,
} from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { RouterService, fromDuration } from '@cabstand/rpc';
import type { BidiStream, RpcClient, v1 } from '@cabstand/rpc';
import type { NodeIdentity } from '@cabstand/hosting';
import { load, offers, otherModels, timestamp } from './load';
import type { PresenceSource } from './load';
import { News, claimOf } from './news';
import type { ToldSession } from './news';
import { ToldLoad } from './told-load';

interface LinkLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface RouterLinkOptions {
  /** A connection to the router that is pinged after so many milliseconds of silence. */
  readonly connect: (keepaliveMs: number) => RpcClient;
  readonly identity: NodeIdentity;
  /** host:port that clients dial. */
  readonly advertise: string;
  readonly source: PresenceSource;
  readonly clock: Clock;
  readonly log: LinkLog;
  /** The router asks this hoster to drain. */
  readonly onDrain: (deadlineMs: number | undefined) => void;
  /** The router takes that wish back. */
  readonly onUndrain: () => void;
}

const REGISTER_TIMEOUT_MS = 5000;
const DEREGISTER_TIMEOUT_MS = 1000;
const SHORTEST_PERIOD_MS = 50;
const LONGEST_PERIOD_MS = 60_000;
const DEFAULT_PERIOD_MS = 1000;
/** A connection is pinged as often as heartbeats are wanted, within these. */
const SHORTEST_KEEPALIVE_MS = 1000;
const LONGEST_KEEPALIVE_MS = 10_000;
/** A connection whose pings come so many times too often or too seldom is replaced. */
const KEEPALIVE_OFF = 2;
/** … after so many heartbeats on it: while a fleet comes back its period grows step by step. */
const SETTLED_BEATS = 5;
/** A router's clock that is off by more than this is worth a line in the log. */
const CLOCK_OFF_MS = 5000;

type LinkState =
  | { readonly kind: 'unregistered' }
  | { readonly kind: 'registered'; readonly nodeId: string }
  | { readonly kind: 'stopped' };

/** Keeps this hoster known to one router: registers, sends heartbeats, starts over when that fails. */
export class RouterLink {
  readonly news = new News();
  readonly #options: RouterLinkOptions;
  readonly #load = new ToldLoad();
  readonly #stopping = new AbortController();
  #state: LinkState = { kind: 'unregistered' };
  #running: Promise<void> | undefined;
  #wake = (): void => undefined;
  #offersChanged = false;
  #lastFailure = '';
  #clockNamed = false;
  #clockOffsetMs = 0;
  #periodMs = DEFAULT_PERIOD_MS;
  #keepaliveMs = SHORTEST_KEEPALIVE_MS;
  #client: RpcClient;
  /** Lets go of the connection before, once the router has heard of this process on the new one. */
  #leave: (() => void) | undefined;

  constructor(options: RouterLinkOptions) {
    this.#options = options;
    this.#client = options.connect(this.#keepaliveMs);
  }

  get address(): string {
    return this.#client.address;
  }

  get registered(): boolean {
    return this.#state.kind === 'registered';
  }

  /** By how much the router's clock was ahead of this one when it spoke last, milliseconds; 0 before. */
  get clockOffsetMs(): number {
    return this.#clockOffsetMs;
  }

  start(): void {
    this.#running ??= this.#run(this.#stopping.signal);
  }

  /** Sends a heartbeat now instead of at the next period. */
  beatNow(offersChanged: boolean): void {
    this.#offersChanged ||= offersChanged;
    this.#wake();
  }

  /** Says good-bye, waiting a second at most. */
  async stop(reason: string): Promise<void> {
    const { identity } = this.#options;
    const state = this.#state;
    this.#state = { kind: 'stopped' };
    this.#stopping.abort(new CabstandError('CANCELLED', 'the hoster stops'));
    await this.#running;
    if (state.kind === 'registered')
      await this.#client
        .unary(
          RouterService.rpc_deregister,
          { node_id: state.nodeId, incarnation: identity.incarnation, reason },
          { timeoutMs: DEREGISTER_TIMEOUT_MS },
        )
        .catch((error: unknown) => this.#failed(error));
    this.#client.close();
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        const nodeId = await this.#register(signal);
        failures = 0;
        while (await this.#beat(nodeId, signal)) this.#reconnect();
      } catch (error) {
        if (this.#stopped()) return;
        this.#failed(error);
        failures++;
      } finally {
        this.#left();
      }
      if (this.#state.kind === 'registered') this.#state = { kind: 'unregistered' };
      // Never longer than a period: a router that is back knows everybody after two of them.
      const delay = backoffDelay(failures, { initialMs: 100, maxMs: this.#periodMs });
      await sleep(delay, signal, this.#options.clock).catch(() => undefined);
    }
  }

  #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #register(signal: AbortSignal): Promise<string> {
    const { identity, advertise, source, clock, log } = this.#options;
    this.#offersChanged = false;
    const answer = await this.#client.unary(
      RouterService.rpc_register,
      {
        address: advertise,
        models: offers(source),
        other_models: otherModels(source),
        version: identity.version,
        incarnation: identity.incarnation,
        clock: timestamp(clock.now()),
        node_id: identity.nodeId,
      },
      { signal, timeoutMs: REGISTER_TIMEOUT_MS },
    );
    this.#setPeriod(fromDuration(answer.heartbeat_period));
    this.news.reset(durableSessions(source));
    this.#load.forget();
    this.#state = { kind: 'registered', nodeId: answer.node_id };
    this.#lastFailure = '';
    log.info({ router: this.address, node_id: answer.node_id }, 'registered with router');
    this.#compareClocks(answer.clock);
    return answer.node_id;
  }

  /** Nothing depends on a router's clock, but whoever reads both logs should know. */
  #compareClocks(theirs: v1.RegisterResponse__Output['clock']): void {
    if (theirs === null) return;
    const { clock, log } = this.#options;
    const off = theirs.seconds * 1000 + theirs.nanos / 1e6 - clock.now();
    this.#clockOffsetMs = off;
    if (this.#clockNamed || Math.abs(off) <= CLOCK_OFF_MS) return;
    this.#clockNamed = true;
    log.warn({ router: this.address, off_ms: Math.round(off) }, 'the clock of a router is off');
  }

  /**
   * Sends heartbeats until the router wants a registration or the stream fails. True where they are to go on
   * over a connection that is pinged at another pace; this one stays until then.
   */
  async #beat(nodeId: string, signal: AbortSignal): Promise<boolean> {
    using link = linkSignals([signal]);
    const client = this.#client;
    const stream = client.bidi(RouterService.rpc_heartbeat, { signal: link.signal });
    const listening = this.#listen(stream, (reason) => link.abort(reason), this.#leave);
    let goesOn = false;
    try {
      for (let beats = 1; ; beats++) {
        // Re-armed before the news are taken: what comes while they are sent is not forgotten.
        const woken = new Promise<void>((resolve) => (this.#wake = resolve));
        if (this.news.overflown) return false;
        await stream.send(this.#heartbeat(nodeId));
        await this.#period(woken, link.signal);
        if (beats < SETTLED_BEATS || this.#leave !== undefined || !this.#isKeepaliveOff()) continue;
        this.#leave = () => {
          stream.cancel();
          client.close();
        };
        return (goesOn = true);
      }
    } catch (error) {
      if (link.signal.aborted && !signal.aborted) {
        const cause = abortReason(link.signal);
        if (cause.reason === 'INCARNATION_UNKNOWN') return false;
        throw cause;
      }
      throw error;
    } finally {
      if (!goesOn) {
        stream.cancel();
        await listening;
      }
    }
  }

  /** A fleet's pings would cost its routers more than its heartbeats, which are few where it is large. */
  get #wantedKeepaliveMs(): number {
    return Math.min(LONGEST_KEEPALIVE_MS, Math.max(SHORTEST_KEEPALIVE_MS, this.#periodMs));
  }

  #isKeepaliveOff(): boolean {
    const factor = this.#wantedKeepaliveMs / this.#keepaliveMs;
    return factor >= KEEPALIVE_OFF || factor <= 1 / KEEPALIVE_OFF;
  }

  #reconnect(): void {
    this.#keepaliveMs = this.#wantedKeepaliveMs;
    this.#client = this.#options.connect(this.#keepaliveMs);
  }

  #left(): void {
    this.#leave?.();
    this.#leave = undefined;
  }

  async #listen(
    stream: BidiStream<v1.HeartbeatRequest, v1.HeartbeatResponse__Output>,
    end: (reason: CabstandError) => void,
    leave: (() => void) | undefined,
  ): Promise<void> {
    try {
      for await (const wish of stream.responses) {
        // The first heartbeat of a stream is answered: the stream before is not missed any more.
        if (leave !== undefined && this.#leave === leave) this.#left();
        this.#setPeriod(fromDuration(wish.heartbeat_period));
        this.#compareClocks(wish.clock);
        if (wish.drain) this.#options.onDrain(fromDuration(wish.drain_deadline));
        else if (wish.undrain) this.#options.onUndrain();
        if (wish.reregister) {
          end(new CabstandError('INCARNATION_UNKNOWN', 'the router wants a registration'));
          return;
        }
      }
      end(new CabstandError('ROUTER_UNREACHABLE', 'the router ended the heartbeats'));
    } catch (error) {
      end(CabstandError.from(error));
    }
  }

  #heartbeat(nodeId: string): v1.HeartbeatRequest {
    const { identity, source } = this.#options;
    const { consumedLeaseIds, opened, closed } = this.news.take();
    const changed = this.#offersChanged;
    this.#offersChanged = false;
    // What it offers anew begins with all slots free there.
    if (changed) this.#load.forget();
    const news = this.#load.news(load(source, this.address));
    return {
      node_id: nodeId,
      incarnation: identity.incarnation,
      ...(news === undefined ? {} : { load: news }),
      consumed_lease_ids: [...consumedLeaseIds],
      sessions_opened: opened.map(toClaim),
      sessions_closed: closed.map(({ sessionId }) => sessionId),
      sessions_ended: closed.map(toClaim),
      ...(changed && {
        models: offers(source),
        models_changed: true,
        other_models: otherModels(source),
      }),
      draining: source.sessions.openness.kind !== 'open',
    };
  }

  async #period(woken: Promise<void>, signal: AbortSignal): Promise<void> {
    using waiting = linkSignals([signal]);
    const period = sleep(this.#periodMs, waiting.signal, this.#options.clock);
    const settled = Promise.race([period, abortable(woken, waiting.signal)]);
    try {
      await settled;
    } finally {
      waiting.abort();
      await period.catch(() => undefined);
    }
  }

  #setPeriod(ms: number | undefined): void {
    if (ms === undefined || !(ms > 0)) return;
    this.#periodMs = Math.min(LONGEST_PERIOD_MS, Math.max(SHORTEST_PERIOD_MS, ms));
  }

  /** A router that stays away is one line in the log, not one each try. */
  #failed(thrown: unknown): void {
    const { reason, message } = CabstandError.from(thrown);
    if (reason === this.#lastFailure) return;
    this.#lastFailure = reason;
    this.#options.log.warn({ router: this.address, reason }, `router: ${message}`);
  }
}

function toClaim({ sessionId, epoch, principal, model, idle }: ToldSession): v1.SessionClaim {
  return { session_id: sessionId, epoch, principal, model, idle };
}

function* durableSessions(source: PresenceSource): Generator<ToldSession> {
  for (const session of source.sessions.all()) if (session.durable) yield claimOf(session);
}
