import { CabstandError, abortReason, abortable, linkSignals } from '@cabstand/core';
import type { Clock, LinkedSignal } from '@cabstand/core';
import type { EventSource, TurnInput } from '../protocol/types';
import { Chunk } from './chunk';
import type { TurnResult } from './chunk';
import { stalled } from './core';
import type { SessionCore, StartedTurn } from './core';

export interface RunContext {
  readonly core: SessionCore;
  readonly clock: Clock;
  readonly stallMs: number;
  readonly turnMs: number;
  /** What cancels the turn: the caller's signal, and the session's own. */
  readonly signals: readonly (AbortSignal | undefined)[];
  /** The turn begins: throws SESSION_BUSY if another one runs. */
  readonly begin: () => void;
  /** The turn is over, whichever way. */
  readonly done: (result: TurnResult | undefined) => void;
}

type RunState =
  /** Nothing has been sent. */
  | { readonly kind: 'new' }
  | { readonly kind: 'opening' }
  | { readonly kind: 'streaming'; readonly turn: StartedTurn; readonly unlink: () => void }
  /** `error` is what the next `next` rejects with, where nobody has been told. */
  | { readonly kind: 'over'; readonly result: TurnResult | undefined; error?: CabstandError };

type Step = IteratorResult<Chunk, TurnResult>;

/**
 * One turn as an async iterator. Sent at the first `next`; leaving a `for await` loop early cancels
 * it. Chunks that are here already cost no wait.
 */
export class TurnRun implements AsyncIterableIterator<Chunk, TurnResult, undefined> {
  readonly #context: RunContext;
  readonly #input: TurnInput;
  #state: RunState = { kind: 'new' };
  #link: LinkedSignal | undefined;
  /** The `next` that is waiting. */
  #pending: Promise<Step> | undefined;
  #chunks = 0;
  #delivered = -1;

  constructor(context: RunContext, input: TurnInput) {
    this.#context = context;
    this.#input = input;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Step> {
    if (this.#pending !== undefined)
      return this.#track(
        this.#pending.then(
          () => this.#step(),
          () => this.#step(),
        ),
      );
    return this.#step();
  }

  /** Cancels the turn. The session can start another one. */
  return(value?: TurnResult): Promise<Step> {
    this.#leave(new CabstandError('CANCELLED', 'the turn was left before its end'));
    // The type asks for a result, and `for await` ignores it.
    return Promise.resolve({ done: true, value: value as TurnResult });
  }

  #step(): Promise<Step> {
    const state = this.#state;
    switch (state.kind) {
      case 'new':
        return this.#track(this.#start());
      case 'streaming': {
        if (this.#delivered >= 0) this.#context.core.delivered(this.#delivered, false);
        try {
          const step = this.#take(state.turn);
          return step === undefined ? this.#track(this.#wait(state.turn)) : Promise.resolve(step);
        } catch (thrown) {
          return Promise.reject(this.#fail(thrown));
        }
      }
      case 'over': {
        const { error } = state;
        delete state.error;
        if (error !== undefined) return Promise.reject(error);
        return Promise.resolve({ done: true, value: this.#result() });
      }
      case 'opening':
        return Promise.resolve({ done: true, value: this.#result() });
    }
  }

  #result(): TurnResult {
    const result = this.#state.kind === 'over' ? this.#state.result : undefined;
    return (
      result ?? { turn: this.#context.core.turn, reason: 'error', steps: 0, chunks: this.#chunks }
    );
  }

  #track(step: Promise<Step>): Promise<Step> {
    this.#pending = step;
    const clear = (): void => {
      if (this.#pending === step) this.#pending = undefined;
    };
    step.then(clear, clear);
    return step;
  }

  async #start(): Promise<Step> {
    const { core, clock, signals, turnMs, begin } = this.#context;
    begin();
    this.#state = { kind: 'opening' };
    const link = linkSignals(signals, { ms: turnMs, what: 'the turn', clock });
    this.#link = link;
    let turn: StartedTurn;
    try {
      turn = await core.startTurn({ input: this.#input }, link.signal);
    } catch (thrown) {
      throw this.#over(thrown);
    }
    // It was left just as it opened.
    if (link.signal.aborted) {
      core.abandon(turn);
      throw this.#over(abortReason(link.signal));
    }
    const onAbort = (): void => {
      const error = abortReason(link.signal);
      this.#leave(error);
      if (this.#state.kind === 'over') this.#state.error = error;
    };
    link.signal.addEventListener('abort', onAbort, { once: true });
    this.#state = {
      kind: 'streaming',
      turn,
      unlink: () => link.signal.removeEventListener('abort', onAbort),
    };
    try {
      const first = this.#handle(turn, turn.first);
      return first ?? this.#take(turn) ?? (await this.#wait(turn));
    } catch (thrown) {
      throw this.#fail(thrown);
    }
  }

  /** The next chunk or the end, if it is here. */
  #take(turn: StartedTurn): Step | undefined {
    const { core } = this.#context;
    for (let event = turn.source.poll(); event !== undefined; event = turn.source.poll()) {
      if (event.type !== 'record') {
        turn.watchdog.touch();
        core.notice(event);
        continue;
      }
      if (!core.accept(event)) continue;
      const step = this.#handle(turn, event);
      if (step !== undefined) return step;
    }
    return undefined;
  }

  #handle(turn: StartedTurn, record: StartedTurn['first']): Step | undefined {
    if (record.body === 'chunk') {
      this.#chunks++;
      this.#delivered = record.position;
      return { done: false, value: new Chunk(record) };
    }
    if (record.body !== 'end') return undefined;
    const result = this.#context.core.endTurn(turn, record, this.#chunks);
    this.#settle(result);
    return { done: true, value: result };
  }

  async #wait(turn: StartedTurn): Promise<Step> {
    const { stallMs } = this.#context;
    const { source, watchdog } = turn;
    try {
      for (;;) {
        watchdog.enter(stallMs, (ms) => source.cancel(stalled('no further record', ms)));
        if (!(await this.#arrives(source))) throw endedEarly();
        const state = this.#state;
        if (state.kind !== 'streaming') return { done: true, value: this.#result() };
        const step = this.#take(turn);
        if (step === undefined) continue;
        watchdog.leave();
        return step;
      }
    } catch (thrown) {
      throw this.#fail(thrown);
    }
  }

  #arrives(source: EventSource): Promise<boolean> {
    return abortable(source.wait(), this.#link?.signal);
  }

  /** The stream failed, or the turn ended in an error. */
  #fail(thrown: unknown): CabstandError {
    const state = this.#state;
    const error = CabstandError.from(thrown);
    if (state.kind === 'over') delete state.error;
    if (state.kind !== 'streaming') return error;
    const { core } = this.#context;
    const stillRunning = core.turn === state.turn.turn;
    if (stillRunning && this.#link?.signal.aborted === true) core.abandon(state.turn);
    else if (stillRunning) {
      state.turn.source.cancel(error);
      core.fail(error);
    }
    return this.#over(error);
  }

  /** The application goes: a turn that runs is stopped at its hoster, and what opens is given up. */
  #leave(error: CabstandError): void {
    const state = this.#state;
    switch (state.kind) {
      case 'streaming':
        this.#settle(undefined);
        this.#context.core.abandon(state.turn);
        return;
      case 'opening':
        this.#link?.abort(error);
        return;
      case 'new':
        this.#state = { kind: 'over', result: undefined };
        return;
      case 'over':
    }
  }

  #over(thrown: unknown): CabstandError {
    this.#settle(undefined);
    return CabstandError.from(thrown);
  }

  #settle(result: TurnResult | undefined): void {
    const state = this.#state;
    if (state.kind === 'over') return;
    this.#state = { kind: 'over', result };
    if (state.kind === 'streaming') {
      state.unlink();
      state.turn.watchdog.stop();
    }
    this.#link?.[Symbol.dispose]();
    this.#context.done(result);
  }
}

export function endedEarly(): CabstandError {
  return new CabstandError(
    'NODE_BAD_REPLY',
    'the hoster ended the stream before the end of its turn',
  );
}
