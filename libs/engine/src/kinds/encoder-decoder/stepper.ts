/** Steps of language models with an encoder: the encoder's run, then a token each. */
import { CabstandError, invalid } from '@cabstand/core';
import { resolveParameters } from '@cabstand/model';
import type { AudioFeatures, Manifest, Parameters } from '@cabstand/model';
import { DEFAULT_MESSAGE_BYTES } from '../../frames/limits';
import type { InputFrame, TurnFrame } from '../../frames/types';
import type { ScoreRange } from '../../output/scores';
import type { StepWriter } from '../../output/step-writer';
import { runError } from '../../runtime/run-error';
import { endTurn, newSequence } from '../../runtime/sequence';
import type { Sequence, Stepper } from '../../runtime/sequence';
import { checkTurn } from '../../turns/check-tensors';
import { emitChoice } from '../language-model/choice/record';
import { TextStream } from '../language-model/text-stream';
import { TokenSnapshots, nothingRead } from '../language-model/token-snapshot';
import type { SavedTokens } from '../language-model/token-snapshot';
import type { TextCodec } from '../language-model/tokenizer';
import { continueTurn, readingTurn } from '../language-model/turn';
import type { ReadingTurn } from '../language-model/turn';
import type { Ids, TextReader } from '../text-model/text-reader';
import type { Decoding, EncoderDecoder } from './encoder-decoder';
import { newEncodedTurn, tensorGiven } from './turn';
import type { EncodedTurn, EncoderTurn, Given } from './turn';

/** Makes [bins, frames] of samples. */
export type FeaturesOf = (samples: Float32Array, audio: AudioFeatures) => Float32Array;

/** What turns text into tokens and back. */
export interface Texts {
  readonly codec: TextCodec;
  readonly reader: TextReader;
}

export interface EncoderSequence extends Sequence {
  turn: EncoderTurn | undefined;
  resume: SavedTokens | undefined;
  /** Gives up the text that is read in a thread. */
  reading: AbortController | undefined;
  /** Undefined before the encoder has run. */
  decoding: Decoding | undefined;
}

export class EncoderDecoderStepper implements Stepper<EncoderSequence> {
  readonly #manifest: Manifest;
  readonly #model: EncoderDecoder;
  readonly #texts: Texts | undefined;
  readonly #featuresOf: FeaturesOf;
  readonly #snapshots: TokenSnapshots;
  readonly #open = new Set<EncoderSequence>();
  readonly splits = 0;
  /** Answers differ in length, and such graphs have no mask for that: sequences run one after another. */
  maxBatch = 1;
  tap: undefined;
  changed: ((sequence: EncoderSequence) => void) | undefined;

  constructor(
    manifest: Manifest,
    model: EncoderDecoder,
    texts: Texts | undefined,
    featuresOf: FeaturesOf,
    readonly messageBytes = DEFAULT_MESSAGE_BYTES,
  ) {
    this.#manifest = manifest;
    this.#model = model;
    this.#texts = texts;
    this.#featuresOf = featuresOf;
    this.#snapshots = new TokenSnapshots(manifest.digest, model.program.target);
  }

  /** No snapshot is larger. */
  get snapshotBytes(): number {
    return this.#snapshots.largest;
  }

  /** Of all caches. */
  get stateBytes(): number {
    let bytes = 0;
    for (const { decoding } of this.#open) bytes += decoding?.bytes ?? 0;
    return bytes;
  }

  open(id: number, priority: number): EncoderSequence {
    const { turn: _, resume: __, ...rest } = newSequence(id, priority);
    const own = { turn: undefined, resume: undefined, reading: undefined, decoding: undefined };
    const sequence: EncoderSequence = { ...rest, ...own };
    this.#open.add(sequence);
    return sequence;
  }

  restore(sequence: EncoderSequence, snapshot: Uint8Array): void {
    sequence.resume = this.#snapshots.read(snapshot);
  }

  /** Tokens of the answer: whoever goes on is given the input again, and encodes it again. */
  snapshot({ turn, resume }: EncoderSequence): Buffer {
    if (turn === undefined) return this.#snapshots.write(undefined);
    if (turn.state === 'reading') return this.#snapshots.write(resume ?? nothingRead(turn.number));
    const { number, records, steps, fingerprint, tokens, prompt } = turn;
    const position = { turn: number, records, steps, fingerprint };
    return this.#snapshots.write({ ...position, prompt, chosen: tokens.slice(prompt) });
  }

  begin(sequence: EncoderSequence, frame: TurnFrame): void {
    const { prompt, turn } = frame;
    const parameters = resolveParameters(this.#manifest.parameters, frame.parameters);
    checkTurn(this.#manifest, frame);
    const reading = new AbortController();
    const read = prompt === '' ? [] : this.#read(prompt, sequence.owner, reading.signal);
    if (!(read instanceof Promise)) {
      this.#start(sequence, turn, read[0] ?? tensorGiven(frame), parameters);
      return;
    }
    sequence.reading = reading;
    sequence.turn = readingTurn(turn);
    void this.#wait(sequence, sequence.turn, read, parameters);
  }

  input(_sequence: EncoderSequence, { turn }: InputFrame): void {
    throw invalid('INVALID_ARGUMENT', 'live input', turn, 'none: the input comes whole');
  }

  ready({ turn }: EncoderSequence): boolean {
    return turn?.state === 'running';
  }

  /** The step that chooses the last token ends the turn. */
  done(): boolean {
    return false;
  }

  group(sequence: EncoderSequence): EncoderSequence {
    return sequence;
  }

  weight(): number {
    return 1;
  }

  async step(batch: readonly EncoderSequence[], out: StepWriter): Promise<void> {
    for (const sequence of batch) {
      const { turn } = sequence;
      if (turn?.state !== 'running') continue;
      try {
        await this.#run(sequence, turn, out);
      } catch (error) {
        endTurn(this, sequence, out, runError(error));
      }
    }
  }

  endTurn(sequence: EncoderSequence): void {
    sequence.resume = undefined;
    sequence.reading?.abort();
    sequence.reading = undefined;
    sequence.decoding = undefined;
  }

  release(sequence: EncoderSequence): void {
    this.endTurn(sequence);
    this.#open.delete(sequence);
  }

  #read(prompt: string, owner: string, signal: AbortSignal): Ids[] | Promise<Ids[]> {
    const { source } = this.#model.program.encoder;
    if (this.#texts === undefined || source.kind !== 'tokens')
      throw invalid('INPUT_UNKNOWN', 'prompt', prompt, 'none: this model takes tensors');
    this.#texts.reader.checkLength(prompt, source.maxTokens);
    return this.#texts.reader.read([prompt], owner, signal);
  }

  /** Where it throws, nothing was started. */
  #start(sequence: EncoderSequence, number: number, given: Given, parameters: Parameters): void {
    const decode = this.#texts?.codec.decode;
    const turn = newEncodedTurn(
      number,
      given,
      parameters,
      this.#model.program,
      (begin) => decode && new TextStream(decode, begin),
    );
    const { resume } = sequence;
    if (resume !== undefined) continueTurn(turn, resume);
    sequence.resume = undefined;
    sequence.decoding = undefined;
    sequence.turn = turn;
  }

  async #wait(
    sequence: EncoderSequence,
    turn: ReadingTurn,
    read: Promise<Ids[]>,
    parameters: Parameters,
  ): Promise<void> {
    try {
      const [ids = []] = await read;
      // It was cancelled or closed meanwhile.
      if (sequence.turn !== turn) return;
      this.#start(sequence, turn.number, ids, parameters);
    } catch (error) {
      if (sequence.turn !== turn) return;
      turn.failure = CabstandError.from(error);
    }
    this.changed?.(sequence);
  }

  async #run(sequence: EncoderSequence, turn: EncodedTurn, out: StepWriter): Promise<void> {
    const { decoding } = sequence;
    if (decoding === undefined) {
      sequence.decoding = await this.#model.encode(this.#sourceOf(turn));
      return;
    }
    if (turn.languages !== undefined) {
      const scores = await this.#model.run(decoding, turn.tokens.slice(0, 1));
      turn.tokens[1] = likeliest(scores, turn.languages);
      turn.languages = undefined;
      return;
    }
    const scores = await this.#model.run(decoding, this.#next(turn, decoding.length));
    // What was computed before is computed again.
    if (sequence.closed || decoding.length < turn.tokens.length) return;
    const choice = turn.answer.choose(scores);
    turn.steps += 1;
    emitChoice(sequence, turn, choice, out);
    if (choice.finish !== undefined) endTurn(this, sequence, out, 'completed');
  }

  /** Tokens of the next run, of which so many were run. */
  #next({ tokens, prompt }: EncodedTurn, length: number): number[] {
    if (this.#model.program.target.rounding === 'fine') return tokens.slice(length);
    return tokens.slice(length, length < prompt ? prompt : length + 1);
  }

  #sourceOf({ given }: EncodedTurn): Given {
    const { source } = this.#model.program.encoder;
    if (!(given instanceof Float32Array) || source.kind !== 'features') return given;
    return source.audio === undefined ? given : this.#featuresOf(given, source.audio);
  }
}

function likeliest({ scores, offset }: ScoreRange, ids: readonly number[]): number {
  return ids.reduce((best, id) =>
    (scores[offset + id] ?? -Infinity) > (scores[offset + best] ?? -Infinity) ? id : best,
  );
}
