import { CabstandError, abortReason, linkSignals } from '@cabstand/core';
import type { Clock, LinkedSignal } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { RecordEvent } from '../protocol/events';
import type { TurnInput } from '../protocol/types';
import type { ActiveTurn } from './active-turn';
import { Chunk, chunkBytes } from './chunk';
import type { TurnResult } from './chunk';
import type { SessionCore } from './core';
import type { Given } from './input-values';

export interface RunContext {
  readonly core: SessionCore;
  readonly clock: Clock;
  readonly turnMs: number;
  /** What cancels the turn: the caller's signal, and the session's own. */
  readonly signals: readonly (AbortSignal | undefined)[];
  /** The turn begins: throws SESSION_BUSY if another one runs. */
  readonly begin: () => void;
  /** Input of lists is typed as the model declares it. Throws INPUT_* for what does not fit. */
  readonly typed: (given: readonly Given[], signal: AbortSignal) => Promise<readonly Tensor[]>;
  /** The turn is over, whichever way. */
  readonly done: (result: TurnResult | undefined) => void;
}

type RunState =
  /** Nothing has been sent. */
  | { readonly kind: 'new' }
  | { readonly kind: 'opening' }
  | { readonly kind: 'streaming'; readonly turn: ActiveTurn; readonly unlink: () => void }
  /** `error` is what the next `next` rejects with, where nobody has been told. */
  | { readonly kind: 'over'; readonly result: TurnResult | undefined; error?: CabstandError };

type Step = IteratorResult<Chunk, TurnResult>;

/**
 * One turn as an async iterator. Sent at the first `next`; leaving a `for await` loop early cancels
 * it. Chunks that are here already cost no wait.
 */
export class TurnRun implements AsyncIterableIterator<Chunk, TurnResult, undefined> {
  readonly #context: RunContext;
  #input: TurnInput | undefined;
  #state: RunState = { kind: 'new' };
  #link: LinkedSignal | undefined;
  /** The `next` that is waiting. */
  #pending: Promise<Step> | undefined;
  #chunks = 0;
  /** What the application has in its hands. */
  #held: Chunk | undefined;

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
        if (this.#held !== undefined)
          this.#context.core.delivered(this.#held.position, chunkBytes(this.#held));
        this.#held = undefined;
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
    let turn: ActiveTurn;
    try {
      turn = await core.startTurn({ input: this.#takeInput() }, link.signal);
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
      return this.#take(turn) ?? (await this.#wait(turn));
    } catch (thrown) {
      throw this.#fail(thrown);
    }
  }

  /** The turn keeps what it needs of it. */
  #takeInput(): TurnInput {
    const input = this.#input;
    if (input === undefined) throw new CabstandError('INTERNAL', 'a turn was started twice');
    this.#input = undefined;
    return input;
  }

  /** The next chunk or the end, if it is here. */
  #take(turn: ActiveTurn): Step | undefined {
    for (let record = turn.poll(); record !== undefined; record = turn.poll()) {
      const step = this.#handle(turn, record);
      if (step !== undefined) return step;
    }
    return undefined;
  }

  #handle(turn: ActiveTurn, record: RecordEvent): Step | undefined {
    if (record.body === 'chunk') {
      this.#held = new Chunk(record, turn.chunksBefore + this.#chunks++);
      return { done: false, value: this.#held };
    }
    if (record.body !== 'end') {
      this.#context.core.delivered(record.position, 0);
      return undefined;
    }
    const result = this.#context.core.endTurn(turn, record);
    this.#settle(result);
    return { done: true, value: result };
  }

  async #wait(turn: ActiveTurn): Promise<Step> {
    try {
      for (;;) {
        await turn.wait(this.#link?.signal);
        if (this.#state.kind !== 'streaming') return { done: true, value: this.#result() };
        const step = this.#take(turn);
        if (step !== undefined) return step;
      }
    } catch (thrown) {
      throw this.#fail(thrown);
    }
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
    }
    this.#link?.[Symbol.dispose]();
    this.#context.done(result);
  }
}
