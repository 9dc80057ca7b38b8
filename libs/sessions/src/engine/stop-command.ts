import { CabstandError, abortReason, throwIfAborted } from '@cabstand/core';
import { STOP_COMMAND, appliedBody, resultBody } from '@cabstand/engine';
import { encodeModuleRecord } from '../records/encode';
import type { RecordHeader } from '../records/encode';
import type { Observe } from '../events';
import { Field, UNNUMBERED } from '../module/body';
import type { Outcome } from '../module/body';
import { checkCommand } from '../module/command-check';
import type { Intake } from './intake';
import type { SessionFacts } from '../session-facts';
import type { Stops } from './stops';
import type { Turns } from '../turns';
import type { EndReason } from '../types';

interface StopCommandInit {
  readonly session: SessionFacts;
  readonly observe: Observe;
  readonly turns: Turns;
  readonly stops: Stops;
  readonly intake: Intake;
}

interface Waiter {
  resolve(outcome: Outcome): void;
  reject(error: CabstandError): void;
}

/** What callers ask. */
export type StopRequests = Pick<StopCommand, 'check' | 'ask' | 'outcome'>;

/**
 * The command `stop`, which models of every kind know. It is of the turn that runs, however often it comes; the
 * records of its effect and of its result belong together with the end of that turn. So whoever has the end of the
 * turn knows of it, and for anybody else nothing has happened: the next hoster is told once more.
 */
export class StopCommand {
  readonly #init: StopCommandInit;
  #asked = false;
  /** Hardly any: a set for each session would cost every idle one 200 bytes. */
  #waiters: readonly Waiter[] = [];

  constructor(init: StopCommandInit) {
    this.#init = init;
  }

  /** Throws COMMAND_INVALID for arguments: it has none. @param json may be empty */
  check(json: string): void {
    checkCommand(this.#init.session.model, STOP_COMMAND.name, json);
  }

  /**
   * The turn that runs is to end at its next step. Throws COMMAND_REJECTED (`code: no_turn`) where this turn does not
   * run. Nothing is kept for whoever asks.
   *
   * @param turn undefined: whichever runs
   */
  ask(turn: number | undefined): void {
    const { turns, stops } = this.#init;
    const { running } = turns;
    if (running === undefined || (turn !== undefined && running.turn !== turn))
      throw noTurn(turn ?? turns.current);
    this.#asked = true;
    stops.ask('stopped');
  }

  /**
   * Asks, and resolves when that is in the journal. Rejects with what `ask` throws, with the end of the session where
   * that comes before, and with the reason of the signal.
   */
  async outcome(turn?: number, signal?: AbortSignal): Promise<Outcome> {
    throwIfAborted(signal);
    let forget: () => void = () => undefined;
    // Before it is asked for: the turn may end at once.
    const outcome = new Promise<Outcome>((resolve, reject) => {
      const waiter = { resolve, reject };
      const onAbort = (): void => {
        if (signal !== undefined) reject(abortReason(signal));
      };
      this.#waiters = [...this.#waiters, waiter];
      signal?.addEventListener('abort', onAbort, { once: true });
      forget = () => {
        this.#waiters = this.#waiters.filter((one) => one !== waiter);
        signal?.removeEventListener('abort', onAbort);
      };
    });
    try {
      this.ask(turn);
      return await outcome;
    } finally {
      forget();
    }
  }

  /** How many wait for what comes of it. */
  get waiting(): number {
    return this.#waiters.length;
  }

  /** Directly before the end of the turn: makes the records of a stop that was asked for. */
  answer(turn: number, reason: EndReason): void {
    if (!this.#asked) return;
    this.#asked = false;
    const value = JSON.stringify({ stopped: reason === 'stopped' });
    this.#write(turn, Field.applied, appliedBody(UNNUMBERED, STOP_COMMAND.name, ''));
    this.#write(turn, Field.result, resultBody(UNNUMBERED, { json: value }));
    const { session, observe } = this.#init;
    observe({ kind: 'command', session, outcome: 'done' });
    for (const waiter of this.#waiters) waiter.resolve({ value });
    this.#waiters = [];
  }

  /** The session has ended. @param why made for those who wait: an error takes 10 µs, and hardly anybody does */
  close(why: () => CabstandError): void {
    for (const waiter of this.#waiters) waiter.reject(why());
    this.#waiters = [];
  }

  #write(turn: number, field: number, body: Buffer): void {
    const fields = { field, point: 0, chain: 0, key: false, more: true, checkpoint: undefined };
    const encode = (header: RecordHeader): Buffer => encodeModuleRecord(header, body, fields);
    this.#init.intake.write(turn, 'other', encode, { confidential: true });
  }
}

function noTurn(turn: number): CabstandError {
  return new CabstandError('COMMAND_REJECTED', 'stop: that turn does not run', {
    metadata: { command: STOP_COMMAND.name, code: 'no_turn', turn: String(turn) },
  });
}
