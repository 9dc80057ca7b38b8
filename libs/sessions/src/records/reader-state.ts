import type { Clock, Timer } from '@cabstand/core';
import type { Consumer, SessionEnd, SessionNotice } from '../types';

type State =
  | { readonly kind: 'streaming'; readonly consumer: Consumer }
  /** The timer ends the session when nobody comes; a turn under way is paused. */
  | { readonly kind: 'orphaned'; readonly timer: Timer | undefined }
  /** The engine's part is over; the consumer reads what is left. */
  | {
      readonly kind: 'closing';
      readonly consumer: Consumer;
      readonly end: SessionEnd;
      readonly timer: Timer;
    }
  | { readonly kind: 'ended'; readonly end: SessionEnd };

/** Who reads a session, and whether it ends. Each state has at most one timer, which goes with it. */
export class ReaderState {
  readonly #clock: Clock;
  #state: State = { kind: 'orphaned', timer: undefined };
  #since: number;

  readonly #onChange: () => void;

  constructor(clock: Clock, onChange: () => void) {
    this.#onChange = onChange;
    this.#clock = clock;
    this.#since = clock.monotonic();
  }

  /** When the reader was last heard of, or came or went. */
  get since(): number {
    return this.#since;
  }

  /** The reader has sent something. */
  heard(): void {
    this.#since = this.#clock.monotonic();
  }

  get kind(): State['kind'] {
    return this.#state.kind;
  }

  /** Of a session that is closing or has ended. */
  get end(): SessionEnd | undefined {
    return 'end' in this.#state ? this.#state.end : undefined;
  }

  /** Who reads a session that goes on. */
  get streaming(): Consumer | undefined {
    return this.#state.kind === 'streaming' ? this.#state.consumer : undefined;
  }

  /** Who reads a session that goes on, or what is left of one that is closing. */
  get consumer(): Consumer | undefined {
    return 'consumer' in this.#state ? this.#state.consumer : undefined;
  }

  /** Tells the consumer something; false if nobody reads, or the session is closing. */
  notify(notice: SessionNotice): boolean {
    const { streaming } = this;
    streaming?.notice(notice);
    return streaming !== undefined;
  }

  attach(consumer: Consumer): void {
    this.#become({ kind: 'streaming', consumer });
  }

  /** Nobody reads. `onTimeout` is called when that is so for `ms`. */
  orphan(ms: number, onTimeout: () => void): void {
    this.#become({ kind: 'orphaned', timer: this.#timer(ms, onTimeout) });
  }

  /** Nothing more comes than what is left. `onTimeout` is called when that is not read within `ms`. */
  close(consumer: Consumer, end: SessionEnd, ms: number, onTimeout: () => void): void {
    this.#become({ kind: 'closing', consumer, end, timer: this.#timer(ms, onTimeout) });
  }

  /** Answers who has read until now. */
  finish(end: SessionEnd): Consumer | undefined {
    const { consumer } = this;
    this.#become({ kind: 'ended', end });
    return consumer;
  }

  #become(state: State): void {
    if ('timer' in this.#state) this.#state.timer?.cancel();
    this.#state = state;
    this.heard();
    this.#onChange();
  }

  #timer(ms: number, onTimeout: () => void): Timer {
    return this.#clock.setTimer(onTimeout, ms, { unref: true });
  }
}
