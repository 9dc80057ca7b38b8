import { CabstandError } from '@cabstand/core';
import { STOP_COMMAND, appliedBody, resultBody } from '@cabstand/engine';
import { encodeModuleRecord } from '../records/encode';
import type { RecordHeader } from '../records/encode';
import type { Observe } from '../events';
import { Field, UNNUMBERED } from '../module/body';
import type { Outcome } from '../module/body';
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

/**
 * The command `stop`, which models of every kind know. It is of the turn that runs, however often it comes; the
 * records of its effect and of its result belong together with the end of that turn. So whoever has the end of the
 * turn knows of it, and for anybody else nothing has happened: the next hoster is told once more.
 */
export class StopCommand {
  readonly #init: StopCommandInit;
  #asked = false;
  #waiters: Waiter[] = [];

  constructor(init: StopCommandInit) {
    this.#init = init;
  }

  /**
   * The turn that runs is to end at its next step. Resolves when that is in the journal. Rejects with COMMAND_REJECTED
   * (`code: no_turn`) where this turn does not run, and with the end of the session where that comes before.
   *
   * @param turn undefined: whichever runs
   */
  async ask(turn: number | undefined): Promise<Outcome> {
    const { turns, stops } = this.#init;
    const { running } = turns;
    if (running === undefined || (turn !== undefined && running.turn !== turn))
      throw noTurn(turn ?? turns.current);
    const outcome = new Promise<Outcome>((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
    this.#asked = true;
    stops.ask('stopped');
    return await outcome;
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
    for (const waiter of this.#waiters.splice(0)) waiter.resolve({ value });
  }

  /** The session has ended. */
  close(error: CabstandError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
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
