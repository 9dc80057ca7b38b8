import { CabstandError, abortReason, linkSignals } from '@cabstand/core';
import type { Clock, LinkedSignal } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { RecordEvent } from '../protocol/events';
import type { TurnInput } from '../protocol/types';
import type { ActiveTurn } from './active-turn';
import type { TurnResult } from './chunk';
import type { SessionCore } from './core';
import type { Given } from './input-values';
import { recordBytes } from './reading';
import type { Reading } from './reading';

export interface RunContext {
  readonly core: SessionCore;
  readonly clock: Clock;
  readonly turnMs: number;
  /** Nobody changes the memory of the input. Default false. */
  readonly shared?: boolean;
  /** What cancels the turn: the caller's signal, and the session's own. */
  readonly signals: readonly (AbortSignal | undefined)[];
  /** The turn begins: throws SESSION_BUSY if another one runs. */
  readonly begin: () => void;
  /** Input of lists is typed as the model declares it. Throws INPUT_* for what does not fit. */
  readonly typed: (given: readonly Given[], signal: AbortSignal) => Promise<readonly Tensor[]>;
  /** The turn is over, whichever way: `error` where it has no result. */
  readonly done: (result: TurnResult | undefined, error?: CabstandError) => void;
}

type RunState =
  /** Nothing has been sent. */
  | { readonly kind: 'new' }
  | { readonly kind: 'opening' }
  | { readonly kind: 'streaming'; readonly turn: ActiveTurn; readonly unlink: () => void }
  /** `error` is what the next `next` rejects with, where nobody has been told. */
  | { readonly kind: 'over'; readonly result: TurnResult | undefined; error?: CabstandError };

type Step<T> = IteratorResult<T, TurnResult>;

/**
 * One turn as an async iterator. Sent at the first `next`; leaving a `for await` loop early cancels
 * it. What is here already costs no wait.
 */
export class TurnRun<T> implements AsyncIterableIterator<T, TurnResult, undefined> {
  readonly #context: RunContext;
  readonly #reading: Reading<T>;
  /** Undefined for the rest of a turn that runs, whose input this process does not have. */
  #input: TurnInput | undefined;
  #state: RunState = { kind: 'new' };
  #link: LinkedSignal | undefined;
  /** The `next` that is waiting. */
  #pending: Promise<Step<T>> | undefined;
  #chunks = 0;
  /** Ends the wait of `#wait`. */
  #interrupt: ((error: CabstandError) => void) | undefined;
  /** What the application has in its hands. */
  #held: RecordEvent | undefined;

  constructor(context: RunContext, input: TurnInput | undefined, reading: Reading<T>) {
    this.#context = context;
    this.#reading = reading;
    this.#input = input;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Step<T>> {
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
  return(value?: TurnResult): Promise<Step<T>> {
    this.#leave(new CabstandError('CANCELLED', 'the turn was left before its end'));
    // The type asks for a result, and `for await` ignores it.
    return Promise.resolve({ done: true, value: value as TurnResult });
  }

  #step(): Promise<Step<T>> {
    const state = this.#state;
    switch (state.kind) {
      case 'new':
        return this.#track(this.#start());
      case 'streaming': {
        const held = this.#held;
        this.#held = undefined;
        try {
          if (held?.body === 'end') return Promise.resolve(this.#end(state.turn, held));
          if (held !== undefined) this.#context.core.delivered(held.position, recordBytes(held));
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

  #track(step: Promise<Step<T>>): Promise<Step<T>> {
    this.#pending = step;
    const clear = (): void => {
      if (this.#pending === step) this.#pending = undefined;
    };
    step.then(clear, clear);
    return step;
  }

  async #start(): Promise<Step<T>> {
    const { core, clock, signals, turnMs, begin, shared = false } = this.#context;
    begin();
    this.#state = { kind: 'opening' };
    const link = linkSignals(signals, { ms: turnMs, what: 'the turn', clock });
    this.#link = link;
    let turn: ActiveTurn;
    try {
      turn = await core.startTurn({ input: this.#takeInput(), shared }, link.signal);
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
      this.#interrupt?.(error);
    };
    link.signal.addEventListener('abort', onAbort, { once: true });
    this.#state = {
      kind: 'streaming',
      turn,
      unlink: () => link.signal.removeEventListener('abort', onAbort),
    };
    try {
      return this.#take(turn) ?? (await this.#wait(turn));
    } catch (thrown) {
      throw this.#fail(thrown);
    }
  }

  /** The turn keeps what it needs of it. */
  #takeInput(): TurnInput | undefined {
    const input = this.#input;
    this.#input = undefined;
    return input;
  }

  /** The next chunk or the end, if it is here. */
  #take(turn: ActiveTurn): Step<T> | undefined {
    for (let record = turn.poll(); record !== undefined; record = turn.poll()) {
      const step = this.#handle(turn, record);
      if (step !== undefined) return step;
    }
    return undefined;
  }

  #handle(turn: ActiveTurn, record: RecordEvent): Step<T> | undefined {
    const item = this.#reading(record, turn.chunksBefore + this.#chunks);
    if (record.body === 'chunk') this.#chunks++;
    if (item !== undefined) {
      this.#held = record;
      return { done: false, value: item };
    }
    if (record.body === 'end') return this.#end(turn, record);
    this.#context.core.heard(record);
    this.#context.core.delivered(record.position, 0);
    return undefined;
  }

  /** The turn is over. Throws where it ended in an error. */
  #end(turn: ActiveTurn, record: Extract<RecordEvent, { body: 'end' }>): Step<T> {
    const result = this.#context.core.endTurn(turn, record);
    this.#settle(result);
    return { done: true, value: result };
  }

  async #wait(turn: ActiveTurn): Promise<Step<T>> {
    try {
      for (;;) {
        await this.#arrival(turn);
        if (this.#state.kind !== 'streaming') return { done: true, value: this.#result() };
        const step = this.#take(turn);
        if (step !== undefined) return step;
      }
    } catch (thrown) {
      throw this.#fail(thrown);
    }
  }

  /** Ends with the signal of the turn, too, whose one listener serves all waits. */
  #arrival(turn: ActiveTurn): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#interrupt = reject;
      turn.wait(undefined).then(resolve, reject);
    });
  }

  /** The turn cannot go on, or ended in an error. */
  #fail(thrown: unknown): CabstandError {
    const state = this.#state;
    const error = CabstandError.from(thrown);
    if (state.kind === 'over') delete state.error;
    if (state.kind !== 'streaming') return error;
    return this.#over(error);
  }

  /** The application goes: a turn that runs is stopped at its hoster, and what opens is given up. */
  #leave(error: CabstandError): void {
    const state = this.#state;
    switch (state.kind) {
      case 'streaming':
        this.#settle(undefined, error);
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
    const error = CabstandError.from(thrown);
    this.#settle(undefined, error);
    return error;
  }

  #settle(result: TurnResult | undefined, error?: CabstandError): void {
    const state = this.#state;
    if (state.kind === 'over') return;
    this.#state = { kind: 'over', result };
    if (state.kind === 'streaming') {
      state.unlink();
    }
    this.#link?.[Symbol.dispose]();
    this.#context.done(result, error);
  }
}
