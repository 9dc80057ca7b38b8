/** Steps of language models: a part of what a sequence has not computed yet, or one more token. */
import { resolveParameters } from '@cabstand/model';
import type { Manifest, Parameters } from '@cabstand/model';
import { CabstandError, invalid } from '@cabstand/core';
import { DEFAULT_MESSAGE_BYTES } from '../../frames/limits';
import type { LanguageFigures } from '../../frames/language-frames';
import type { InputFrame, TurnFrame } from '../../frames/types';
import type { StepWriter } from '../../output/step-writer';
import { runError } from '../../runtime/run-error';
import { isReady } from '../../runtime/scheduler';
import { endTurn, newSequence } from '../../runtime/sequence';
import type { Group, Stepper } from '../../runtime/sequence';
import { checkTurn } from '../../turns/check-tensors';
import type { ScoreRange } from '../../output/scores';
import { Caches } from './cache/caches';
import { PromptCache } from './cache/prompt-cache';
import { guideOf } from './choice/settings';
import { emitChoice } from './choice/record';
import type { Decoder } from './decoder';
import { Figures } from './figures';
import type { Guide } from './guide/guide';
import { Guides } from './guide/guides';
import type { GuideSource } from './guide/source';
import type { Prompt } from './prompt-reader';
import { Prompts } from './prompts';
import { hold, moment, prepared } from './held';
import type { Preparation } from './held';
import { Memory } from './schedule/memory';
import { PART, partOf } from './schedule/parts';
import { PhaseScheduler } from './schedule/phases';
import { TextStream } from './text-stream';
import type { TextCodec } from './tokenizer';
import { TokenSnapshots, nothingRead } from './token-snapshot';
import { continueTurn, newTurn, readingTurn } from './turn';
import type { LanguageSequence, LanguageTurn, ReadingTurn } from './turn';

export interface StepperOptions {
  /** Most sequences that run together; one where the decoder runs each alone. */
  readonly maxBatch: number;
  /** Most bytes of all caches. */
  readonly maxBytes: number;
  /**
   * Tokens that were chosen are computed again one after another, and not several at once: their columns are other
   * ones then, by more than rounding.
   */
  readonly replays: boolean;
  /** Default 16 MiB. */
  readonly messageBytes?: number;
}

/** There is something to compute, or will be: its cache is not given up for that. */
const RUNNING = {
  ready: ({ turn }: LanguageSequence): boolean => turn?.state === 'running',
};

export class LanguageModelStepper implements Stepper<LanguageSequence> {
  readonly #manifest: Manifest;
  readonly #decoder: Decoder;
  readonly #codec: TextCodec | undefined;
  readonly #snapshots: TokenSnapshots;
  readonly #caches: Caches;
  readonly #replays: boolean;
  /** Scores depend on how prompts are divided, by more than the last bits: they always are divided alike. */
  readonly #divides: boolean;
  readonly messageBytes: number;
  splits = 0;
  readonly maxBatch: number;
  readonly #memory: Memory;
  readonly #prefixes: PromptCache;
  readonly #figures = new Figures();
  readonly scheduler: PhaseScheduler<LanguageSequence>;
  tap: undefined;
  changed: ((sequence: LanguageSequence) => void) | undefined;
  readonly #prompts: Prompts;
  readonly #guides: Guides | undefined;

  constructor(
    manifest: Manifest,
    decoder: Decoder,
    codec: TextCodec | undefined,
    { maxBatch, maxBytes, replays, messageBytes }: StepperOptions,
  ) {
    this.messageBytes = messageBytes ?? DEFAULT_MESSAGE_BYTES;
    this.#replays = replays;
    const { rounding, cache } = decoder.program;
    const byRun = rounding === 'by-run';
    // With caches of a fixed size all parts of more than one token give the same bits.
    this.#divides = byRun || (rounding === 'by-token' && cache.kind !== 'fixed');
    this.#manifest = manifest;
    this.#decoder = decoder;
    this.#codec = codec;
    this.maxBatch = decoder.ragged ? maxBatch : 1;
    const limits = { maxRows: this.maxBatch, maxBytes };
    this.#caches = new Caches(decoder.program.cache, limits, decoder.memory);
    const caches = this.#caches;
    this.#memory = new Memory(caches);
    this.#prefixes = new PromptCache(caches.store, { replays, byRun });
    this.scheduler = new PhaseScheduler({
      ready: (sequence) => this.ready(sequence),
      hasRow: ({ slot }) => slot !== undefined,
      groupOf: (sequence) => (caches.isShared(sequence) ? sequence.slot?.cohort : undefined),
      admit: (waiting) => this.#memory.next(waiting, (sequence) => isReady(RUNNING, sequence)),
    });
    const { tokenizer } = decoder.program;
    this.#prompts = new Prompts(decoder.program, codec);
    this.#guides = tokenizer && new Guides(tokenizer, decoder.program);
    this.#snapshots = new TokenSnapshots(manifest.digest, decoder.program);
  }

  /** No snapshot is larger. */
  get snapshotBytes(): number {
    return this.#snapshots.largest;
  }

  /** Of all caches. */
  get stateBytes(): number {
    return this.#caches.bytes;
  }

  /** What happened since the last time. */
  takeFigures(): LanguageFigures {
    const { activeBytes, maxBytes } = this.#caches;
    const { preemptions } = this.#memory;
    return this.#figures.take({ preemptions, cacheUse: activeBytes / maxBytes });
  }

  open(id: number, priority: number): LanguageSequence {
    const { turn: _, resume: __, ...rest } = newSequence(id, priority);
    return {
      ...rest,
      turn: undefined,
      resume: undefined,
      reading: undefined,
      slot: undefined,
      ...{ reserved: 0, prefilled: 0, left: undefined },
    };
  }

  restore(sequence: LanguageSequence, snapshot: Uint8Array): void {
    sequence.resume = this.#snapshots.read(snapshot);
  }

  snapshot({ turn, resume }: LanguageSequence): Buffer {
    if (turn === undefined) return this.#snapshots.write(undefined);
    if (turn.state === 'reading') return this.#snapshots.write(resume ?? nothingRead(turn.number));
    const { number, records, steps, fingerprint, tokens, prompt } = turn;
    return this.#snapshots.write({
      ...{ turn: number, records, steps, fingerprint },
      ...{ prompt, chosen: tokens.slice(prompt) },
    });
  }

  begin(sequence: LanguageSequence, frame: TurnFrame): void {
    const { turn } = frame;
    const parameters = resolveParameters(this.#manifest.parameters, frame.parameters);
    checkTurn(this.#manifest, frame);
    const source = guideOf(parameters);
    const given = this.#prompts.given(frame);
    if ('kind' in given || source !== undefined) {
      const reading = readingTurn(turn);
      sequence.turn = reading;
      void this.#read(sequence, reading, given, parameters, source);
    } else this.#start(sequence, turn, given, parameters);
  }

  /** Where it throws, nothing was started. */
  #start(
    sequence: LanguageSequence,
    number: number,
    prompt: readonly number[],
    parameters: Parameters,
    guide?: Guide,
  ): void {
    // A guide knows nothing of what the prompt has begun.
    const text = this.#codec && new TextStream(this.#codec.decode, prompt, guide === undefined);
    const turn = newTurn(number, prompt, parameters, this.#decoder.program, text, { guide });
    const { resume } = sequence;
    if (resume !== undefined) continueTurn(turn, resume);
    sequence.resume = undefined;
    sequence.turn = turn;
  }

  async #read(
    sequence: LanguageSequence,
    reading: ReadingTurn,
    given: readonly number[] | Prompt,
    parameters: Parameters,
    source: GuideSource | undefined,
  ): Promise<void> {
    const abort = new AbortController();
    sequence.reading = abort;
    const { owner } = sequence;
    try {
      const ids = 'kind' in given ? await this.#prompts.read(given, owner, abort.signal) : given;
      const guide = source && (await this.#guides?.open(source, owner, abort.signal));
      // It was cancelled or closed meanwhile.
      if (sequence.turn !== reading) {
        guide?.close();
        return;
      }
      this.#start(sequence, reading.number, ids, parameters, guide);
    } catch (error) {
      if (sequence.turn !== reading) return;
      reading.failure = CabstandError.from(error);
    }
    this.changed?.(sequence);
  }

  input(_sequence: LanguageSequence, { turn }: InputFrame): void {
    throw invalid('INVALID_ARGUMENT', 'live input', turn, 'none: a prompt comes whole');
  }

  ready({ turn }: LanguageSequence): boolean {
    return turn?.state === 'running' && turn.held?.preparation.isDone !== false;
  }

  /** The step that chooses the last token ends the turn. */
  done(): boolean {
    return false;
  }

  group(sequence: LanguageSequence): Group {
    return sequence.slot?.cohort ?? sequence;
  }

  weight(): number {
    return 1;
  }

  async step(batch: readonly LanguageSequence[], out: StepWriter): Promise<void> {
    this.#caches.tidy();
    for (const sequence of batch) await this.#chooseHeld(sequence, out);
    // That may have been the last token, or the last one that there is room for.
    const ready = batch.filter((sequence) => isReady(this, sequence));
    const [first] = ready;
    if (first !== undefined && !this.#caches.isShared(first)) await this.#part(first, out);
    else await this.#decode(ready, out);
  }

  /** Chooses the token that a sequence sat steps out for. */
  async #chooseHeld(sequence: LanguageSequence, out: StepWriter): Promise<void> {
    const { turn } = sequence;
    if (turn?.state !== 'running' || turn.held === undefined) return;
    const { range, preparation } = turn.held;
    turn.held = undefined;
    try {
      await this.#choose(sequence, turn, range, preparation, out);
    } catch (error) {
      endTurn(this, sequence, out, runError(error));
    }
  }

  endTurn(sequence: LanguageSequence, keep: boolean): void {
    // A continued turn may end while its prompt is read again: nothing is left to go on with then.
    sequence.resume = undefined;
    this.#letGo(sequence);
    sequence.reading = undefined;
    if (!keep || !this.#prefixes.leave(sequence)) this.#caches.clear(sequence);
    const { turn } = sequence;
    if (turn?.state === 'running') this.#figures.ended(turn.times);
    this.#memory.drop(sequence);
  }

  release(sequence: LanguageSequence): void {
    this.#letGo(sequence);
    this.#memory.drop(sequence);
    this.#caches.store.forget(sequence);
  }

  /** Of what threads do or keep for its turn. */
  #letGo({ reading, turn }: LanguageSequence): void {
    reading?.abort();
    if (turn?.state === 'running') turn.answer.close();
  }

  /** Computes some tokens of what a sequence begins with, alone; after the last of them it runs among others. */
  async #part(sequence: LanguageSequence, out: StepWriter): Promise<void> {
    const { turn } = sequence;
    if (turn?.state !== 'running') return;
    const { tokens } = turn;
    const end = this.#replays ? turn.prompt : tokens.length;
    try {
      if (sequence.slot === undefined && this.#memory.begin(sequence, turn)) {
        const reused = this.#prefixes.reuse(sequence, turn, end);
        this.#figures.admitted(turn.times, end, reused);
      }
      const { slot } = sequence;
      if (slot === undefined) return;
      const { length: from, row, cohort } = slot;
      const most = this.#divides ? PART : this.scheduler.partTokens;
      const part = tokens.slice(from, from + partOf(end - from, most));
      const isLast = from + part.length === end;
      const isNext = isLast && end === tokens.length;
      const rows = { buffer: cohort.buffer, from: row, lengths: [from] };
      const ready = isNext ? prepared(turn.answer) : undefined;
      const [scores] = await this.#decoder.run(rows, [part], isNext);
      await moment([ready]);
      slot.length += part.length;
      if (part.length > 1 && sequence.prefilled === from) sequence.prefilled = slot.length;
      if (!isLast) return;
      this.#prefixes.share(sequence, tokens);
      this.#caches.share(sequence);
      if (isNext) await this.#choose(sequence, turn, scores, ready, out);
    } catch (error) {
      endTurn(this, sequence, out, runError(error));
    }
  }

  /** Computes a token of each, together. Where that fails, each alone: only those that fail alone end. */
  async #decode(batch: readonly LanguageSequence[], out: StepWriter): Promise<void> {
    const cohort = batch[0]?.slot?.cohort;
    if (cohort === undefined) return;
    this.#memory.fit(cohort, 1);
    // Some may have lost their rows for lack of memory.
    const left = batch.filter(({ slot }) => slot?.cohort === cohort);
    if (left.length === 0) return;
    cohort.arrange(left);
    const rows = cohort.members.slice(0, left.length) as LanguageSequence[];
    try {
      await this.#together(rows, out);
    } catch (error) {
      if (rows.length > 1) this.splits += 1;
      for (const sequence of rows) {
        if (rows.length === 1) endTurn(this, sequence, out, runError(error));
        else await this.#decode([sequence], out);
      }
    }
  }

  async #together(rows: readonly LanguageSequence[], out: StepWriter): Promise<void> {
    const lengths = rows.map(({ slot }) => slot?.length ?? 0);
    const ids = rows.map(({ turn }, row) =>
      turn?.state === 'running' ? [turn.tokens[lengths[row] ?? 0] ?? 0] : [0],
    );
    const buffer = rows[0]?.slot?.cohort.buffer;
    if (buffer === undefined) return;
    const ready = rows.map(({ turn }, row) =>
      turn?.state === 'running' && turn.tokens.length === (lengths[row] ?? 0) + 1
        ? prepared(turn.answer)
        : undefined,
    );
    const scores = await this.#decoder.run({ buffer, from: 0, lengths }, ids);
    await moment(ready);
    rows.forEach(({ slot }) => {
      if (slot !== undefined) slot.length += 1;
    });
    for (const [row, sequence] of rows.entries()) {
      const { turn, slot } = sequence;
      // What was chosen before is computed once more.
      if (turn?.state !== 'running' || slot?.length !== turn.tokens.length) continue;
      try {
        await this.#choose(sequence, turn, scores[row], ready[row], out);
      } catch (error) {
        endTurn(this, sequence, out, runError(error));
      }
    }
  }

  /** Chooses the token after those that were computed, and tells it; later, where it is not known what may follow. */
  async #choose(
    sequence: LanguageSequence,
    turn: LanguageTurn,
    range: ScoreRange | undefined,
    ready: Preparation | undefined,
    out: StepWriter,
  ): Promise<void> {
    if (range === undefined || sequence.closed || sequence.turn !== turn) return;
    if (ready?.isDone === false) {
      hold(turn, range, ready, () => {
        if (sequence.turn === turn) this.changed?.(sequence);
      });
      return;
    }
    await ready?.done;
    const choice = turn.answer.choose(range);
    turn.steps += 1;
    this.#figures.chosen(turn.times, turn.records === 0);
    emitChoice(sequence, turn, choice, out);
    if (choice.finish !== undefined) endTurn(this, sequence, out, 'completed');
  }
}
