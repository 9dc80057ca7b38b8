import { CabstandError } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { Credit } from '../records/credits';
import type { StopReason } from '@cabstand/engine';
import type { Sequence, SequenceSink, ServedModel } from './engine';

export interface EngineSlotInit {
  readonly model: ServedModel;
  readonly sink: SequenceSink;
  readonly priority: number;
  readonly owner: string;
  readonly snapshots: boolean;
  /** See `SequenceOptions`. */
  readonly session: string;
  readonly seed: number;
  readonly clock: Clock;
  /** How long to wait for the engine to come back, in milliseconds. */
  readonly rebuildMs: number;
  /** No engine came in time, or none will. */
  readonly onGone: (error: CabstandError) => void;
  /** Worth another `retake`. */
  readonly onRetry: () => void;
}

type SlotState =
  | { readonly kind: 'taken'; readonly sequence: Sequence }
  /** The engine is gone; the session waits for the next one. */
  | {
      readonly kind: 'waiting';
      readonly since: number;
      readonly error: CabstandError;
      readonly deadline: Timer;
    }
  | { readonly kind: 'left' };

/** The engine is there, but has no room for the input yet. */
const RETRY_MS = 50;

/** A session's place in its model's engine, whichever process that is. */
export class EngineSlot {
  readonly #init: EngineSlotInit;
  #state: SlotState = { kind: 'left' };
  #retry: Timer | undefined;

  constructor(init: EngineSlotInit) {
    this.#init = init;
  }

  get sequence(): Sequence | undefined {
    return this.#state.kind === 'taken' ? this.#state.sequence : undefined;
  }

  get waiting(): boolean {
    return this.#state.kind === 'waiting';
  }

  /** Throws what `ServedModel.openSequence` throws. `restore`: empty for nothing. */
  take(restore: Uint8Array): Sequence {
    const { model, sink, priority, owner, snapshots, session, seed } = this.#init;
    const sequence = model.openSequence(sink, {
      ...{ priority, owner, session, seed },
      ...(restore.byteLength > 0 ? { restore } : {}),
      ...(snapshots ? { snapshots } : {}),
    });
    this.#state = { kind: 'taken', sequence };
    return sequence;
  }

  /** Gives the engine credit, or takes it back. */
  credit(credit: Credit | undefined): void {
    if (credit !== undefined) this.sequence?.credit(credit.records, credit.bytes);
  }

  /** The engine is gone. */
  wait(error: CabstandError): void {
    const { clock, rebuildMs, onGone } = this.#init;
    if (this.#state.kind !== 'taken') return;
    const deadline = clock.setTimer(() => onGone(error), rebuildMs, { unref: true });
    this.#state = { kind: 'waiting', since: clock.monotonic(), error, deadline };
  }

  /**
   * Tries to take a place in the next engine and to `begin` there. Answers for how long the session was
   * without one, and why; undefined while it still is.
   */
  retake(
    restore: Uint8Array,
    begin: (sequence: Sequence) => void,
  ): { readonly cause: CabstandError; readonly seconds: number } | undefined {
    const state = this.#state;
    if (state.kind !== 'waiting') return undefined;
    let sequence: Sequence | undefined;
    try {
      sequence = this.take(restore);
      begin(sequence);
    } catch (thrown) {
      sequence?.close();
      this.#state = state;
      this.#refused(CabstandError.from(thrown));
      return undefined;
    }
    state.deadline.cancel();
    const seconds = (this.#init.clock.monotonic() - state.since) / 1000;
    return { cause: state.error, seconds };
  }

  /** Calls `onRetry` soon. */
  retrySoon(): void {
    this.#retry ??= this.#init.clock.setTimer(
      () => {
        this.#retry = undefined;
        this.#init.onRetry();
      },
      RETRY_MS,
      { unref: true },
    );
  }

  /** `reason`: what a module is told. */
  leave(reason?: StopReason): void {
    const state = this.#state;
    this.#state = { kind: 'left' };
    this.#retry?.cancel();
    this.#retry = undefined;
    if (state.kind === 'taken') state.sequence.close(reason);
    else if (state.kind === 'waiting') state.deadline.cancel();
  }

  #refused(error: CabstandError): void {
    if (error.reason === 'DRAINING' || error.reason === 'MODEL_FAILED') this.#init.onGone(error);
    // A change of the model's status brings the next try; a full engine changes nothing.
    else if (error.reason === 'HOSTER_FULL') this.retrySoon();
  }
}
