import { randomUUID } from 'node:crypto';
import { CabstandError } from '@cabstand/core';
import { codecs } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { Sequence, SequenceOptions, SequenceSink, TurnStart } from '@cabstand/sessions';
import { toWire } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { ScriptedParts } from './parts';
import type { ScriptedState, SequenceInit } from './sequence-init';
import type { Strike, Trial } from './strike';
import { failureError } from './strike';
import { turnEnd } from './turn-end';
import type { MockRecord, MockTurn } from './types';

interface Running {
  readonly turn: number;
  readonly parts: ScriptedParts;
  readonly trial: Trial;
  /** Records of an engine before, which are not made once more. */
  readonly from: number;
  made: number;
  cancelled: boolean;
}

/** A session in an engine whose model is a function. */
export class ScriptedSequence implements Sequence {
  readonly #sink: SequenceSink;
  readonly #init: SequenceInit;
  readonly #session: string;
  #restored: ScriptedState | undefined;
  #running: Running | undefined;
  #records = 0;
  #bytes = 0;
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(sink: SequenceSink, init: SequenceInit, { restore, session = '' }: SequenceOptions) {
    this.#sink = sink;
    this.#init = init;
    this.#session = session;
    const state = restore && init.states.get(Buffer.from(restore).toString());
    if (restore !== undefined && state === undefined)
      throw new CabstandError('CHECKPOINT_INVALID', 'a snapshot of another subnet');
    if (state?.ended === false) this.#restored = state;
  }

  startTurn(turn: number, input: TurnStart): void {
    const { hoster, model, seen, answer, trial } = this.#init;
    const { made = 0, parts: before = [] } = this.#restored ?? {};
    const planned = trial(this.#session, turn);
    this.#restored = undefined;
    const parts = input.live
      ? new ScriptedParts(before, (used) => {
          if (!this.#closed) this.#sink.inputTaken(turn, used);
        })
      : new ScriptedParts([input.tensors]);
    const running: Running = {
      ...{ turn, parts, from: made, made: 0, cancelled: false },
      trial: planned,
    };
    const asked: MockTurn = { hoster, sessionId: this.#session, model, turn, ...input, parts };
    seen(asked);
    this.#running = running;
    // Not within the call that starts it.
    void Promise.resolve().then(() => this.#run(running, answer, asked));
  }

  input(_turn: number, _part: number, tensors: readonly Tensor[], last: boolean): void {
    this.#running?.parts.add(tensors, last);
  }

  credit(records: number, bytes: number): void {
    this.#records += records;
    this.#bytes += bytes;
    this.#wake();
  }

  cancel(turn: number): void {
    if (this.#running?.turn !== turn) return;
    this.#running.cancelled = true;
    this.#running.parts.end();
    this.#wake();
  }

  command(): void {
    throw new Error('it takes no commands');
  }

  stop(turn: number): void {
    this.cancel(turn);
  }

  /** Asked for within a call of the sink, too: not before that has come to its end. */
  snapshot(): void {
    queueMicrotask(() => {
      const running = this.#running;
      if (running !== undefined && !this.#closed) this.#save(running, false);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#running?.parts.end();
    this.#wake();
    this.#init.closed(this);
  }

  async #run(running: Running, answer: SequenceInit['answer'], asked: MockTurn): Promise<void> {
    let error: CabstandError | undefined;
    let after: Strike = 'on';
    try {
      for await (const record of answer(asked)) {
        if (running.made < running.from) {
          running.made++;
          continue;
        }
        after = await running.trial.due(running.made);
        if (after !== 'on') break;
        await this.#room(running);
        if (this.#closed || running.cancelled) break;
        this.#chunk(running, record);
      }
      if (after === 'on' && !this.#closed) after = await running.trial.due(running.made);
      if (after === 'end') error = failureError(running.trial.failure, 'INTERNAL');
    } catch (thrown) {
      error = CabstandError.from(thrown);
    }
    if (this.#closed || after === 'over') return;
    this.#end(running, error);
  }

  #chunk(running: Running, { tensors = [], text = '' }: MockRecord): void {
    const outputs = tensors.map((tensor) => toWire(tensor) as v1.Tensor);
    const chunk = codecs.Chunk.encode({ outputs, text });
    running.made++;
    this.#records--;
    this.#bytes -= chunk.byteLength;
    this.#sink.chunk(running.turn, chunk);
  }

  #end(running: Running, error: CabstandError | undefined): void {
    const { turn, made: steps } = running;
    this.#running = undefined;
    this.#save(running, true);
    if (this.#closed) return;
    const reason = running.cancelled ? 'cancelled' : 'completed';
    this.#sink.endOfTurn(turn, turnEnd(reason, steps, error));
    if (error !== undefined) running.trial.ended(error);
  }

  #save({ turn, made, from, parts }: Running, ended: boolean): void {
    const key = randomUUID();
    const records = Math.max(made, from);
    this.#init.states.set(key, { made: records, parts: ended ? [] : parts.applied, ended });
    this.#sink.snapshot(turn, {
      data: Buffer.from(key),
      records,
      steps: records,
      partsTaken: parts.used,
      ended,
    });
  }

  /** Resolves when another record is wanted, or none ever will be. */
  async #room(running: Running): Promise<void> {
    while (!this.#closed && !running.cancelled && (this.#records <= 0 || this.#bytes <= 0))
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }
}
