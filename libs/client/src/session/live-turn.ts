import { CabstandError, abortReason, abortable, linkSignals } from '@cabstand/core';
import type { LinkedSignal } from '@cabstand/core';
import type { RecordEvent } from '../protocol/events';
import type { LivePart, TurnInput } from '../protocol/types';
import type { ActiveTurn } from './active-turn';
import type { Chunk, TurnResult } from './chunk';
import { copyTensor } from './continuation';
import { inputBytes, toTensors } from './input';
import type { TensorInput } from './input';
import { isPath, isTyped } from './input-values';
import type { Given } from './input-values';
import { LiveParts } from './live-parts';
import { Mailbox } from './mailbox';
import type { LiveSettings } from './options';
import { recordBytes } from './reading';
import type { Reading } from './reading';
import type { RunContext } from './turn-run';
import type { Watchdog } from './watchdog';

/** Most records that are no chunks and wait for the application to come to them. */
const MOST_BETWEEN = 4_096;

/** A record, and what its reader is given of it. */
interface Read<T> {
  readonly record: RecordEvent;
  readonly item: T;
}

/**
 * A turn whose input comes while its output goes: a microphone, say. Write parts, read chunks, at the
 * same time; `end` says that no more input follows. Leaving the `for await` loop cancels the turn.
 */
export class LiveTurn<T = Chunk> implements AsyncIterableIterator<T, TurnResult, undefined> {
  readonly #context: RunContext & { readonly writeMs: number };
  readonly #input: TurnInput;
  readonly #parts: LiveParts;
  readonly #reading: Reading<T>;
  readonly #chunks: Mailbox<Read<T>, TurnResult>;
  readonly #link: LinkedSignal;
  readonly #copies: boolean;
  #count = 0;
  #sequence = 0;
  /** Records that are no chunks, which the application has not come to. */
  #between: RecordEvent[] = [];
  #betweenRoom: () => void = () => undefined;
  #ended = false;
  /** Nobody asks for the next chunk any more, nor wants to hear why there is none. */
  #left = false;
  #over = false;
  #writes: Promise<void>;
  #watchdog: Watchdog | undefined;
  #writersWaiting = 0;

  constructor(
    context: RunContext & { readonly writeMs: number },
    input: TurnInput,
    settings: LiveSettings,
    reading: Reading<T>,
  ) {
    this.#context = context;
    this.#reading = reading;
    this.#input = input;
    this.#parts = new LiveParts({
      maxParts: settings.maxPartsInFlight,
      maxBytes: settings.maxBytesInFlight,
      maxReplayBytes: context.core.replayBytes,
    });
    this.#chunks = new Mailbox(settings.maxBufferedChunks);
    this.#copies = settings.copies;
    // Parts bear the number of the turn, which is not settled while the one before is being wound up.
    this.#writes = context.core.settled;
    const { clock, signals, turnMs } = context;
    context.begin();
    this.#link = linkSignals(signals, { ms: turnMs, what: 'the turn', clock });
    void this.#run();
  }

  /**
   * Sends a part of the input. Resolves when there is room for the next one, so awaiting it is what
   * bounds memory. Rejects with what the turn failed with; with LIMIT_EXCEEDED where there was no room
   * for `writeMs` because nobody reads the chunks.
   */
  write(tensors: TensorInput): Promise<void> {
    return this.#write(tensors, false);
  }

  #write(tensors: TensorInput, last: boolean): Promise<void> {
    let given: readonly Given[];
    try {
      const list = toTensors(tensors);
      // The caller may fill the same array again while this part is on its way, or kept.
      given = this.#copies ? list.map((one) => (isTyped(one) ? copyTensor(one) : one)) : list;
    } catch (thrown) {
      return Promise.reject(CabstandError.from(thrown));
    }
    if (this.#ended)
      return Promise.reject(
        new CabstandError('INVALID_ARGUMENT', 'write: the input of this turn was ended'),
      );
    if (last) {
      this.#ended = true;
      this.#watchdog?.touch();
    }
    return this.#add(given, last);
  }

  /**
   * No more input follows: the turn ends when all of it is used up.
   *
   * @param tensors the last part; default: the one before was
   */
  end(tensors: TensorInput = []): Promise<void> {
    return this.#ended ? this.#writes : this.#write(tensors, true);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T, TurnResult>> {
    if (this.#left) return { done: true, value: this.#brokenOff() };
    const step = await this.#chunks.next(({ record }) => {
      this.#context.core.delivered(record.position, recordBytes(record));
      this.#tellBetween();
    });
    return step.done === true ? step : { done: false, value: step.value.item };
  }

  /** Cancels the turn. The session can start another one. */
  return(value?: TurnResult): Promise<IteratorResult<T, TurnResult>> {
    this.#left = true;
    this.#link.abort(new CabstandError('CANCELLED', 'the turn was left before its end'));
    return Promise.resolve({ done: true, value: value as TurnResult });
  }

  // One write at a time, in the order of the calls.
  #add(given: readonly Given[], last: boolean): Promise<void> {
    const written = this.#writes.then(async () => {
      const tensors =
        given.every(isTyped) && !given.some(isPath)
          ? given
          : await this.#context.typed(given, this.#link.signal);
      // A part that is refused here is none: those that follow are numbered without a gap.
      const sequence = this.#sequence++;
      await this.#addNow({ turn: this.#context.core.turn, sequence, tensors, last });
    });
    this.#writes = written.catch(() => undefined);
    return written;
  }

  async #addNow(part: LivePart): Promise<void> {
    const failed = this.#chunks.failure;
    if (failed !== undefined) throw failed;
    this.#parts.add(part, inputBytes(part.tensors));
    while (!this.#parts.hasRoom && this.#chunks.failure === undefined) {
      this.#writersWaiting++;
      this.#watchdog?.touch();
      try {
        await this.#roomInTime();
      } finally {
        this.#writersWaiting--;
      }
    }
    if (this.#chunks.failure !== undefined && !this.#chunks.ended) throw this.#chunks.failure;
  }

  async #roomInTime(): Promise<void> {
    const { clock, writeMs } = this.#context;
    if (!Number.isFinite(writeMs)) return this.#parts.room();
    let late: (error: CabstandError) => void = () => undefined;
    const timedOut = new Promise<never>((_resolve, reject) => {
      late = reject;
    });
    timedOut.catch(() => undefined);
    const timer = clock.setTimer(
      () => {
        // Where the chunks are read, the stall clock of the reading side decides.
        if (this.#chunks.full)
          late(
            new CabstandError(
              'LIMIT_EXCEEDED',
              `write: no room for ${writeMs} ms because the turn's chunks are not being read; read while writing`,
              { metadata: { field: 'timeouts.writeMs', value: String(writeMs) } },
            ),
          );
      },
      writeMs,
      { unref: true },
    );
    try {
      await Promise.race([this.#parts.room(), timedOut]);
    } finally {
      timer.cancel();
    }
  }

  async #run(): Promise<void> {
    const { core } = this.#context;
    const { signal } = this.#link;
    const parts = this.#parts;
    let turn: ActiveTurn;
    try {
      turn = await core.startTurn(
        {
          input: this.#input,
          live: {
            started: (channel, resumed) => parts.attach(channel, resumed),
            accepted: (nextPart, wanted) => parts.accepted(nextPart, wanted),
            applied: (sequence, position) => parts.applied(sequence, position),
            checkpoint: (position) => parts.checkpoint(position),
            replayable: () => parts.replayable,
            forget: () => parts.forget(),
            paused: () => !this.#ended && this.#writersWaiting === 0,
            watch: (watchdog) => {
              this.#watchdog = watchdog;
            },
          },
        },
        signal,
      );
    } catch (thrown) {
      this.#finish(CabstandError.from(thrown));
      return;
    }
    // Nothing may come between the abort and this: the next turn waits for the one that is wound up.
    const leave = (): void => {
      core.abandon(turn);
      this.#chunks.drop();
      this.#finish(abortReason(signal));
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    try {
      this.#finish(await this.#pump(turn));
    } catch (thrown) {
      this.#finish(CabstandError.from(thrown));
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** Moves records from the stream to the chunks, and stops reading while these are full. */
  async #pump(turn: ActiveTurn): Promise<TurnResult> {
    const { signal } = this.#link;
    for (;;) {
      if (signal.aborted) throw abortReason(signal);
      const record = turn.poll();
      if (record === undefined) {
        await turn.wait(signal);
        continue;
      }
      const result = this.#handle(turn, record);
      if (result !== undefined) return result;
      if (this.#chunks.full) await abortable(this.#chunks.room(), signal);
      else if (this.#between.length >= MOST_BETWEEN)
        await abortable(
          new Promise<void>((resolve) => {
            this.#betweenRoom = resolve;
          }),
          signal,
        );
    }
  }

  #handle(turn: ActiveTurn, record: RecordEvent): TurnResult | undefined {
    const item = this.#reading(record, turn.chunksBefore + this.#count);
    if (record.body === 'chunk') this.#count++;
    if (item !== undefined) this.#chunks.push({ record, item });
    if (record.body === 'end') return this.#context.core.endTurn(turn, record);
    if (item !== undefined) return undefined;
    this.#between.push(record);
    if (this.#chunks.idle) this.#tellBetween();
    return undefined;
  }

  /** The application comes to the records before the next chunk. */
  #tellBetween(): void {
    const until = this.#chunks.first?.record.position ?? Infinity;
    const { core } = this.#context;
    for (let next = this.#between[0]; next !== undefined; next = this.#between[0]) {
      if (next.position > until) return;
      this.#between.shift();
      core.heard(next);
      core.delivered(next.position, 0);
    }
    this.#betweenRoom();
  }

  #brokenOff(): TurnResult {
    return { turn: this.#context.core.turn, reason: 'error', steps: 0, chunks: this.#count };
  }

  #finish(outcome: TurnResult | CabstandError): void {
    if (this.#over) return;
    this.#over = true;
    this.#link[Symbol.dispose]();
    if (CabstandError.is(outcome)) {
      this.#chunks.fail(outcome, this.#brokenOff());
      this.#context.done(undefined, outcome);
    } else {
      this.#chunks.finish(outcome);
      this.#context.done(outcome);
    }
    this.#parts.detach();
  }
}
