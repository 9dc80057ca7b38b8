import { CabstandError, sleep } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { isIdle } from '../admission/usage';
import { evictedIdle } from '../ended-error';
import { DrainPacer } from './pacer';
import type { Session } from '../session';
import type { SessionEnd } from '../types';

/** Whether the hoster takes work. */
export type Openness =
  | { readonly kind: 'open' }
  /** No new sessions; those that are open go on. */
  | { readonly kind: 'draining'; readonly until: number }
  /** No new turns either. */
  | { readonly kind: 'stopping' };

export interface DrainInit {
  readonly clock: Clock;
  readonly movesPerSecond: number;
  readonly live: () => Iterable<Session>;
  /** How many those are. */
  readonly size: () => number;
  /** Nobody new is let in from now on. */
  readonly onClosed: (error: CabstandError) => void;
  /** It drains and the last session has left. */
  readonly onDrained: () => void;
}

/** How long readers may take to get what a frozen session has left, in milliseconds. */
const LAST_RECORDS_MS = 500;
/**
 * How long a session that moved is given to go on elsewhere before the process winds itself up, in
 * milliseconds: that is work for its consumers, and for whoever else runs on the machine.
 */
const ARRIVAL_MS = 250;

/** How the hoster's sessions leave it: by themselves, asked to move, or at the deadline. */
export class Drain {
  readonly #init: DrainInit;
  readonly #pacer: DrainPacer;
  /** Whoever waits for it, until when. */
  readonly #quiet = new Map<() => void, () => boolean>();
  #openness: Openness = { kind: 'open' };
  #deadline: Timer | undefined;
  /** When the last session that moved was gone. */
  #lastMove = -Infinity;

  constructor(init: DrainInit) {
    this.#init = init;
    this.#pacer = new DrainPacer(init.clock, init.movesPerSecond);
  }

  get openness(): Openness {
    return this.#openness;
  }

  /** Throws DRAINING where no sessions are taken any more. */
  checkOpen(): void {
    if (this.#openness.kind !== 'open') throw draining();
  }

  /** Throws DRAINING once the hoster stops: even open sessions start no more turns. */
  checkTurns(): void {
    if (this.#openness.kind === 'stopping') throw draining();
  }

  /** A consumer was attached that may have come too late to be asked. */
  greet(session: Session): void {
    if (this.#openness.kind !== 'open' && (session.movable || !session.durable))
      this.#pacer.tell(session);
  }

  /** Takes no new sessions; those still open after `deadlineMs` are ended. */
  drain(deadlineMs: number): void {
    if (this.#openness.kind !== 'open') return;
    const { clock } = this.#init;
    this.#openness = { kind: 'draining', until: clock.monotonic() + deadlineMs };
    this.#announce(deadlineMs);
    this.#deadline = clock.setTimer(() => void this.#expire(), deadlineMs, { unref: true });
    for (const session of [...this.#init.live()]) this.#letGo(session);
    this.#checkDrained();
  }

  /** Takes a drain back; false where there is none. Sessions that were asked to move may still do so. */
  undrain(): boolean {
    if (this.#openness.kind !== 'draining') return false;
    this.#deadline?.cancel();
    this.#pacer.stop();
    this.#openness = { kind: 'open' };
    return true;
  }

  /**
   * Lets running turns finish, and durable sessions move, until the deadline; then ends all sessions.
   * Answers how many turns it cut.
   */
  async stop(deadlineMs: number): Promise<number> {
    this.#deadline?.cancel();
    this.#openness = { kind: 'stopping' };
    this.#announce(deadlineMs);
    // Those between turns have nothing to wait for.
    for (const session of [...this.#init.live()])
      if (session.movable && session.state === 'streaming' && !session.turnRuns)
        void session.handOver().catch(() => undefined);
    await this.#quietWithin(deadlineMs, () => this.#busy());
    await this.#freezeAll();
    let cut = 0;
    for (const { turnRuns } of this.#init.live()) if (turnRuns) cut++;
    this.#evictAll();
    const { clock } = this.#init;
    const settlingMs = this.#lastMove + ARRIVAL_MS - clock.monotonic();
    if (settlingMs > 0) await sleep(settlingMs, undefined, clock);
    return cut;
  }

  /** A session has ended. */
  ended({ reason }: SessionEnd): void {
    if (reason === 'migrated') this.#lastMove = this.#init.clock.monotonic();
    this.#checkQuiet();
    this.#checkDrained();
  }

  /** Nobody waits for records of the session now. */
  quiet(session: Session): void {
    this.#checkQuiet();
    if (this.#openness.kind === 'draining') this.#letGo(session);
  }

  /** Nobody is there to be asked to move it, and whoever comes back for it can go on elsewhere as well. */
  #letGo(session: Session): void {
    if (session.durable && session.state === 'orphaned' && isIdle(session))
      session.abort({ reason: 'evicted', error: evictedIdle(session.id, LEAVING) });
  }

  /** A session has ended, or has nothing more to give for now. */
  #checkQuiet(): void {
    for (const [wake, busy] of this.#quiet)
      if (!busy()) {
        this.#quiet.delete(wake);
        wake();
      }
  }

  #announce(deadlineMs: number): void {
    this.#init.onClosed(draining());
    this.#pacer.ask(this.#init.live(), deadlineMs);
  }

  #checkDrained(): void {
    if (this.#openness.kind !== 'draining') return;
    if (this.#init.size() === 0) this.#init.onDrained();
  }

  /** The deadline of a drain has come. */
  async #expire(): Promise<void> {
    const drain = this.#openness;
    await this.#freezeAll();
    // Meanwhile it may have been taken back.
    if (this.#openness === drain) this.#evictAll();
  }

  #busy(): boolean {
    // An orphan's turn is paused: waiting for it would be waiting for the deadline.
    for (const { state, turnRuns, delivered } of this.#init.live())
      if (state === 'closing' || (state === 'streaming' && (turnRuns || !delivered))) return true;
    return false;
  }

  async #quietWithin(ms: number, busy: () => boolean): Promise<void> {
    if (!busy()) return;
    await new Promise<void>((resolve) => {
      const timer = this.#init.clock.setTimer(done, ms);
      const quiet = this.#quiet;
      function done(): void {
        quiet.delete(done);
        timer.cancel();
        resolve();
      }
      quiet.set(done, busy);
    });
  }

  /** Freezes the durable sessions that have not moved, and lets their readers have the rest. */
  async #freezeAll(): Promise<void> {
    const moving = [...this.#init.live()].filter(
      ({ movable, state }) => movable && state === 'streaming',
    );
    if (moving.length === 0) return;
    await Promise.allSettled(moving.map((session) => session.handOver()));
    await this.#quietWithin(LAST_RECORDS_MS, () => moving.some(({ state }) => state === 'closing'));
  }

  #evictAll(): void {
    this.#pacer.stop();
    for (const session of [...this.#init.live()])
      session.abort({ reason: 'evicted', error: draining() });
  }
}

const LEAVING = 'this hoster is draining: go on elsewhere from its checkpoint';

function draining(): CabstandError {
  return new CabstandError('DRAINING', 'this hoster is draining', { retryAfterMs: 1000 });
}
