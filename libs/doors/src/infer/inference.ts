/** Requests of the Open Inference Protocol as turns of sessions: what gRPC and HTTP have in common. */
import { CabstandError, invalid, linkSignals } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { stringTensor } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { Caller, ModelFacts, ServedRecord, Serving } from '../serving';
import { TEXT, textOutput, turnInput } from './ask';
import type { InferAsk } from './ask';
import { Collected } from './collect';
import { Sequences } from './sequences';
import { Statistics } from './statistics';

export interface InferenceOptions {
  /** Most bytes of an answer that holds a whole turn. */
  readonly maxAnswerBytes: number;
  /** A sequence that nobody goes on with ends after this, in milliseconds. */
  readonly sequenceIdleMs: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** What a turn gives, or a step of it. */
export interface Answer {
  readonly model: ModelFacts;
  readonly id: string;
  readonly tensors: readonly Tensor[];
  /** Why nothing was computed; empty if something was. */
  readonly note: string;
  /** What a module tells beside its outputs. */
  readonly message?: { readonly name: string; readonly json: string };
}

/** What comes of a turn that is answered step by step; `end` is the last. */
export type Step =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'end'; readonly model: ModelFacts; readonly note: string };

export class Inference {
  readonly serving: Serving;
  readonly statistics = new Statistics();
  readonly sequenceIdleMs: number;
  readonly #maxAnswerBytes: number;
  readonly #clock: Clock | undefined;
  readonly #sequences: Sequences;

  constructor(serving: Serving, options: InferenceOptions) {
    const { maxAnswerBytes, sequenceIdleMs, clock } = options;
    this.serving = serving;
    this.sequenceIdleMs = sequenceIdleMs;
    this.#maxAnswerBytes = maxAnswerBytes;
    this.#clock = clock;
    this.#sequences = new Sequences((ask, signal) => serving.session(ask, signal), {
      idleMs: sequenceIdleMs,
      ...(clock === undefined ? {} : { clock }),
    });
  }

  /** Sequences that are known here. */
  get sequences(): number {
    return this.#sequences.size;
  }

  stop(): void {
    this.#sequences.stop();
  }

  /** A turn with everything in one answer. */
  async whole(ask: InferAsk, caller: Caller, signal: AbortSignal): Promise<Answer> {
    const model = await this.#model(ask, caller, signal);
    const collected = new Collected(this.#maxAnswerBytes);
    let note = '';
    for await (const record of this.#records(ask, model, caller, signal)) {
      if (record.kind === 'chunk') collected.add(record);
      else if (record.kind === 'end') note = record.note;
    }
    const { text, tensors } = collected;
    return { model, id: ask.id, tensors: selected(ask, model, tensors, text), note };
  }

  /** A turn with an answer for each record. */
  async *steps(ask: InferAsk, caller: Caller, signal: AbortSignal): AsyncGenerator<Step> {
    const model = await this.#model(ask, caller, signal);
    const base = { model, id: ask.id, note: '' };
    for await (const record of this.#records(ask, model, caller, signal)) {
      if (record.kind === 'end') yield { kind: 'end', model, note: record.note };
      else if (record.kind === 'message') {
        const { name, json } = record;
        yield { kind: 'answer', answer: { ...base, tensors: [], message: { name, json } } };
      } else {
        const tensors = selected(ask, model, record.tensors, record.text);
        yield { kind: 'answer', answer: { ...base, tensors } };
      }
    }
  }

  async #model(ask: InferAsk, caller: Caller, signal: AbortSignal): Promise<ModelFacts> {
    const model = await this.serving.model(ask.model, ask.version, caller, signal);
    const known = model.outputs.map(({ name }) => name);
    if (textOutput(model)) known.push(TEXT);
    for (const name of ask.wanted ?? [])
      if (!known.includes(name))
        throw invalid('INVALID_ARGUMENT', 'outputs', name, known.join(', '));
    return model;
  }

  /** The records of the turn, up to its end. Throws why it failed, where it did. */
  async *#records(
    ask: InferAsk,
    model: ModelFacts,
    caller: Caller,
    signal: AbortSignal,
  ): AsyncGenerator<ServedRecord> {
    const measured = this.statistics.begin(model.name, model.version);
    const { timeoutMs } = ask;
    const clock = this.#clock === undefined ? {} : { clock: this.#clock };
    using linked = linkSignals(
      [signal],
      timeoutMs === undefined ? undefined : { ms: timeoutMs, what: 'the request', ...clock },
    );
    try {
      for await (const record of this.#turn(ask, model, caller, linked.signal)) {
        measured.record();
        if (record.kind === 'end') checkEnd(record);
        yield record;
        if (record.kind === 'end') measured.ended(true);
      }
    } finally {
      measured.ended(false);
    }
  }

  #turn(
    ask: InferAsk,
    model: ModelFacts,
    caller: Caller,
    signal: AbortSignal,
  ): AsyncIterable<ServedRecord> {
    const { sequence: mark, version, priority } = ask;
    const input = turnInput(ask, model);
    const base = { caller, model: model.name, version, priority };
    if (mark === undefined) return this.serving.runTurn({ ...base, input }, signal);
    return this.#sequences.run({ mark, session: base, input }, signal);
  }
}

function checkEnd({ reason, error }: Extract<ServedRecord, { kind: 'end' }>): void {
  if (error !== undefined) throw error;
  if (reason === 'completed' || reason === 'stopped') return;
  throw new CabstandError('CANCELLED', `the turn did not come to its end: ${reason}`, {
    metadata: { end_reason: reason },
  });
}

/** The outputs that were asked for, and text as one of them. */
function selected(
  { wanted }: InferAsk,
  model: ModelFacts,
  tensors: readonly Tensor[],
  text: string,
): readonly Tensor[] {
  const all = textOutput(model) ? [...tensors, stringTensor(TEXT, [text])] : tensors;
  return wanted === undefined ? all : all.filter(({ name }) => wanted.has(name));
}
