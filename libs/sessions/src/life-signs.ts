import { CabstandError } from '@cabstand/core';
import type { Computation } from './engine/computation';
import type { Delivery } from './records/delivery';
import type { ServedModel } from './engine/engine';
import { endedError } from './ended-error';
import type { SessionDeps } from './session-init';
import type { SessionEnd, SessionNotice } from './types';

/** The session, to those who tell its consumer of it. */
interface Told {
  readonly durable: boolean;
  readonly id: string;
  readonly openedAt: number;
  readonly model: Pick<ServedModel, 'signature'>;
  /** When its reader was last heard of. */
  readonly since: number;
  /** False where nobody reads. */
  notify(notice: SessionNotice): boolean;
  close(end: SessionEnd): void;
}

/**
 * Tells a consumer that waits for records why none comes: work goes on, or nothing is computed before an
 * acknowledgement. Nobody waits for ever for one that does not come, nor for live input.
 */
export class LifeSigns {
  readonly #session: Told;
  readonly #deps: Pick<SessionDeps, 'clock' | 'options'>;
  readonly #delivery: Delivery;
  readonly #computation: Pick<Computation, 'turns' | 'stands' | 'commands' | 'feed'>;
  /** Position at the last look. */
  #seen = -1;
  #askedSince: number | undefined;
  /** Its live turn has waited for input since. */
  #starvedSince: number | undefined;

  constructor(
    session: Told,
    deps: Pick<SessionDeps, 'clock' | 'options'>,
    delivery: Delivery,
    computation: Pick<Computation, 'turns' | 'stands' | 'commands' | 'feed'>,
  ) {
    this.#session = session;
    this.#deps = deps;
    this.#delivery = delivery;
    this.#computation = computation;
  }

  turnStarted(): void {
    this.#seen = -1;
  }

  acknowledged(): void {
    this.#askedSince = undefined;
  }

  /** To be called once a second. */
  tell(): void {
    const { next, delivered } = this.#delivery;
    const runs = this.#computation.turns.running !== undefined;
    if (this.#awaitsAck) this.#ask(next - 1);
    else if (runs && delivered && this.#seen === next)
      this.#session.notify({ kind: 'progress', done: next });
    this.#seen = next;
    this.#endSilent();
    this.#endOld();
  }

  /** Whether only an acknowledgement lets the engine go on. */
  get #awaitsAck(): boolean {
    const { turns, stands, commands, feed } = this.#computation;
    const { running } = turns;
    if (!this.#session.durable || running === undefined || stands) return false;
    if (!this.#delivery.delivered) return false;
    // What a module is sent waits for the journal, though the engine has credit: that counts no checkpoints.
    if (commands?.waitsForReader === true || feed.waitsForReader) return true;
    if (running.live?.starved === true) return false;
    const { records, bytes } = this.#delivery.outstanding;
    return this.#delivery.keptRecords > 0 && (records <= 0 || bytes <= 0);
  }

  /** Ends the session where its live turn has waited for input for too long. */
  #endSilent(): void {
    const { clock, options } = this.#deps;
    const { running } = this.#computation.turns;
    const now = clock.monotonic();
    if (running?.live?.starved === true) this.#starvedSince ??= now;
    else this.#starvedSince = undefined;
    const { starved, complete } = running?.live ?? {};
    if (this.#starvedSince === undefined || starved !== true || complete === true) return;
    const silentMs = now - Math.max(this.#starvedSince, this.#session.since);
    if (silentMs < options.liveIdleTimeoutMs) return;
    const end = { reason: 'timed_out' } as const;
    this.#session.close({ ...end, error: endedError(this.#session.id, end) });
  }

  /** Ends the session of a module that may not live longer. */
  #endOld(): void {
    // Of one that is over what is left may be read.
    if (this.#computation.turns.state.kind === 'over') return;
    const { sessionSeconds = Infinity } = this.#session.model.signature.sessions ?? {};
    const age = this.#deps.clock.monotonic() - this.#session.openedAt;
    if (age >= sessionSeconds * 1000) this.#session.close({ reason: 'timed_out' });
  }

  #ask(position: number): void {
    const { clock, options } = this.#deps;
    if (!this.#session.notify({ kind: 'ack_wanted', position })) return;
    const now = clock.monotonic();
    this.#askedSince ??= now;
    if (now - this.#askedSince >= options.idleTimeoutMs)
      this.#session.close({ reason: 'evicted', error: this.#unanswered(position) });
  }

  #unanswered(position: number): CabstandError {
    const { keptRecords, keptBytes } = this.#delivery;
    return new CabstandError(
      'SESSION_EVICTED',
      `${keptRecords} records of ${keptBytes} bytes in all, up to position ${position}, were sent and not acknowledged, and nothing more can be computed before`,
      {
        metadata: {
          position: String(position),
          records: String(keptRecords),
          bytes: String(keptBytes),
          waited_ms: String(this.#deps.options.idleTimeoutMs),
        },
      },
    );
  }
}
