import { randomUUID } from 'node:crypto';
import { CabstandError, sleep } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import type { Script, ScriptTurn } from '../scripts';
import type { Observation, Observed, ObservedTurn } from '../stream';
import { Watched } from '../watched';
import type { TwoGateways } from './callers';

/** Where even a turn that is sent again cannot go on that is told, and the caller begins anew. */
const BEGIN_ANEW: ReadonlySet<Reason> = new Set([
  'POSITION_INVALID',
  'TURN_OUT_OF_ORDER',
  'SESSION_UNKNOWN',
  'SESSION_ENDED',
]);
/** The other gateway has not heard of the death of the first one, or a hoster is starting. */
const COMES_LATER: ReadonlySet<string> = new Set(['node', 'overload']);
/** Another call of the caller is not over yet, or a hoster died that a gateway had nothing to go on from. */
const AGAIN: ReadonlySet<Reason> = new Set(['SESSION_BUSY', 'SESSION_LOST']);
const PAUSE_MS = 100;
const GIVE_UP_MS = 120_000;

export interface GatewayStreamOptions {
  /** Which gateway is asked first. */
  readonly gateway: number;
  /** Pause of the reader after each record, in milliseconds. */
  readonly readMs: number;
  readonly signal: AbortSignal;
}

/** A script whose caller asks the other of two gateways when one breaks. */
export class GatewayStream extends Watched {
  readonly script: Script;
  /** Which gateway it is asked of. */
  gateway: number;
  readonly #caller: TwoGateways;
  readonly #options: GatewayStreamOptions;
  #next = 0;

  constructor(script: Script, caller: TwoGateways, options: GatewayStreamOptions) {
    super();
    this.script = script;
    this.gateway = options.gateway;
    this.#caller = caller;
    this.#options = options;
  }

  get name(): string {
    return this.script.name;
  }

  get model(): string {
    return this.script.model;
  }

  override get position(): number {
    return this.#next;
  }

  /** What came of each session that was begun; the last one came to its end, or failed for good. */
  async *run(): AsyncGenerator<{ readonly observation: Observation; readonly again: boolean }> {
    for (;;) {
      const observation = await this.#session(randomUUID());
      const { end } = observation.turns.at(-1) ?? {};
      const error = end?.kind === 'failed' ? end.error : undefined;
      const again =
        CabstandError.is(error) && BEGIN_ANEW.has(error.reason) && !this.#options.signal.aborted;
      yield { observation, again };
      if (!again) return;
    }
  }

  async #session(session: string): Promise<Observation> {
    const turns: ObservedTurn[] = [];
    this.#next = 0;
    this.note(`begins ${session}`);
    for (const [number, turn] of this.script.turns.entries()) {
      if (turn.kind !== 'whole')
        throw new Error('plain callers resume turns with whole input only');
      const observed = await this.#turn(session, number, turn);
      turns.push(observed);
      if (observed.end.kind === 'failed') break;
    }
    await this.#caller.close(this.gateway, session).catch(() => undefined);
    return { script: this.script, turns };
  }

  async #turn(
    session: string,
    number: number,
    turn: Extract<ScriptTurn, { kind: 'whole' }>,
  ): Promise<ObservedTurn> {
    const chunks: Observed[] = [];
    const giveUpAt = performance.now() + GIVE_UP_MS;
    for (;;) {
      try {
        const reason = await this.#read(session, number, turn, chunks);
        this.flowing = false;
        return { chunks, end: { kind: 'ended', reason, position: this.#next } };
      } catch (thrown) {
        this.flowing = false;
        const error = CabstandError.is(thrown) ? thrown : undefined;
        this.note(`broke: ${error?.reason ?? ''} ${String(thrown)}`);
        const later =
          error === undefined || COMES_LATER.has(error.class) || AGAIN.has(error.reason);
        if (!later || this.#options.signal.aborted || performance.now() > giveUpAt)
          return { chunks, end: { kind: 'failed', error: thrown } };
        this.gateway = 1 - this.gateway;
        await sleep(PAUSE_MS, this.#options.signal).catch(() => undefined);
      }
    }
  }

  async #read(
    session: string,
    number: number,
    turn: Extract<ScriptTurn, { kind: 'whole' }>,
    chunks: Observed[],
  ): Promise<string> {
    const { readMs, signal } = this.#options;
    const asked = { session, model: this.model, number, turn, next: this.#next };
    const ending = this.#caller.turn(this.gateway, asked);
    for await (const got of ending) {
      if (signal.aborted) throw new CabstandError('CANCELLED', 'the run was ended');
      // From the beginning, where the caller cannot say so.
      if (got.position > this.#next && this.#next === asked.next)
        throw new CabstandError(
          'POSITION_INVALID',
          `from ${String(got.position)}, not ${String(this.#next)}`,
        );
      this.#next = got.position + 1;
      if (got.kind === 'end') return got.reason;
      if (got.kind === 'chunk') chunks.push(got.observed);
      this.seen();
      if (readMs > 0) await sleep(readMs, signal);
    }
    throw new Error('the stream ended within a turn');
  }
}
