/**
 * Steps of models that take texts: one record a turn, with a row for each of its texts. Texts of several turns share
 * a run, filled up to the longest, and a turn of many texts takes several.
 */
import { CabstandError, invalid } from '@cabstand/core';
import { KINDS, resolveParameters } from '@cabstand/model';
import type { Manifest, Parameters } from '@cabstand/model';
import { DEFAULT_MESSAGE_BYTES } from '../../frames/limits';
import type { InputFrame, TurnFrame } from '../../frames/types';
import { charge } from '../../output/record';
import type { StepWriter } from '../../output/step-writer';
import { writeTensor } from '../../output/tensor-record';
import { runError } from '../../runtime/run-error';
import { endTurn, newSequence } from '../../runtime/sequence';
import type { ActiveTurn, Sequence, Stepper } from '../../runtime/sequence';
import { ByteReader, unfit } from '../../snapshot/bytes';
import { SnapshotHeader, fingerprintOf } from '../../snapshot/header';
import { checkTurn } from '../../turns/check-tensors';
import type { TextGraph } from './text-graph';
import type { Ids, TextReader } from './text-reader';

/** Texts of one turn: more would hold much memory for long. */
const MOST_TEXTS = 4096;
/** Rows are filled up to the longest of a run: those of one group differ no more than twice. */
const SHORTEST_GROUP = 16;

interface TextTurn extends ActiveTurn {
  readonly parameters: Parameters;
  /** Undefined: they are still read. */
  texts: readonly Ids[] | undefined;
  group: object;
  /** Of the texts that ran already. */
  readonly results: Float32Array[];
}

export interface TextSequence extends Sequence {
  turn: TextTurn | undefined;
  /** Gives up texts that are read in a thread. */
  reading: AbortController | undefined;
}

export class TextStepper implements Stepper<TextSequence> {
  readonly #manifest: Manifest;
  readonly #graph: TextGraph;
  readonly #reader: TextReader;
  readonly #header: SnapshotHeader;
  /** By the length that their longest texts are rounded up to. */
  readonly #groups = new Map<number, object>();
  readonly #unread = {};
  splits = 0;
  tap: undefined;
  changed: ((sequence: TextSequence) => void) | undefined;

  constructor(
    manifest: Manifest,
    graph: TextGraph,
    reader: TextReader,
    public maxBatch: number,
    readonly messageBytes = DEFAULT_MESSAGE_BYTES,
  ) {
    this.#manifest = manifest;
    this.#graph = graph;
    this.#reader = reader;
    this.#header = new SnapshotHeader(KINDS[manifest.kind].snapshotId, manifest.digest);
  }

  /** No snapshot is larger. */
  get snapshotBytes(): number {
    return this.#header.largest;
  }

  open(id: number, priority: number): TextSequence {
    return { ...newSequence(id, priority), turn: undefined, reading: undefined };
  }

  restore(sequence: TextSequence, snapshot: Uint8Array): void {
    const reader = new ByteReader(snapshot);
    const position = this.#header.read(reader);
    reader.end();
    sequence.resume = position;
  }

  /** There is nothing to keep but that the turn has begun: its texts come again. */
  snapshot({ turn }: TextSequence): Buffer {
    if (turn === undefined) return this.#header.write(undefined);
    const { number, records, parameters } = turn;
    return this.#header.write({
      ...{ turn: number, steps: 0, records, fingerprint: fingerprintOf(parameters) },
    });
  }

  begin(sequence: TextSequence, frame: TurnFrame): void {
    const parameters = resolveParameters(this.#manifest.parameters, frame.parameters);
    checkTurn(this.#manifest, frame);
    const { resume } = sequence;
    if (resume !== undefined && !fingerprintOf(parameters).equals(resume.fingerprint))
      throw unfit('turn', 'the parameters are not those that it began with');
    const texts = textsOf(frame);
    const reading = new AbortController();
    const read = this.#reader.read(texts, sequence.owner, reading.signal);
    const turn: TextTurn = {
      ...{ number: frame.turn, steps: 0, records: 0, taken: 0, cancelled: false },
      ...{ parameters, texts: undefined, group: this.#unread, results: [] },
      get generation() {
        const prompt = (this.texts ?? []).reduce((sum, { length }) => sum + length, 0);
        return { prompt, cached: 0, answer: 0 };
      },
    };
    sequence.resume = undefined;
    sequence.turn = turn;
    if (!(read instanceof Promise)) {
      this.#give(turn, read);
      return;
    }
    sequence.reading = reading;
    void this.#wait(sequence, turn, read);
  }

  input(_sequence: TextSequence, { turn }: InputFrame): void {
    throw invalid('INVALID_ARGUMENT', 'live input', turn, 'none: texts come whole');
  }

  ready({ turn }: TextSequence): boolean {
    return turn?.texts !== undefined;
  }

  done(): boolean {
    return false;
  }

  group({ turn }: TextSequence): object {
    return turn?.group ?? this.#unread;
  }

  weight({ turn }: TextSequence): number {
    return turn === undefined ? 0 : this.#next(turn).length;
  }

  async step(batch: readonly TextSequence[], out: StepWriter): Promise<void> {
    const parts = batch.flatMap((sequence) =>
      sequence.turn === undefined ? [] : { sequence, turn: sequence.turn },
    );
    try {
      const rows = parts.map(({ turn }) => this.#next(turn));
      const results = await this.#graph.run(rows.flat());
      let from = 0;
      for (const [index, { sequence, turn }] of parts.entries()) {
        const count = rows[index]?.length ?? 0;
        turn.results.push(...results.slice(from, from + count));
        from += count;
        if (turn.results.length === turn.texts?.length) this.#emit(sequence, turn, out);
      }
    } catch (error) {
      const [only, ...others] = parts;
      if (only === undefined) return;
      if (others.length === 0) {
        endTurn(this, only.sequence, out, runError(error));
        return;
      }
      // Texts that are fine alone go on; only the culprit's turn ends.
      this.splits += 1;
      for (const { sequence } of parts) await this.step([sequence], out);
    }
  }

  endTurn(sequence: TextSequence): void {
    sequence.reading?.abort();
    sequence.reading = undefined;
  }

  release(sequence: TextSequence): void {
    this.endTurn(sequence);
  }

  /** Texts of the next run: no more than may run together. */
  #next({ texts = [], results }: TextTurn): readonly Ids[] {
    return texts.slice(results.length, results.length + this.maxBatch);
  }

  #give(turn: TextTurn, texts: readonly Ids[]): void {
    const longest = texts.reduce((most, { length }) => Math.max(most, length), SHORTEST_GROUP);
    const rounded = 2 ** Math.ceil(Math.log2(longest));
    const group = this.#groups.get(rounded) ?? {};
    this.#groups.set(rounded, group);
    turn.group = group;
    turn.texts = texts;
  }

  async #wait(sequence: TextSequence, turn: TextTurn, read: Promise<Ids[]>): Promise<void> {
    try {
      const texts = await read;
      // It was cancelled or closed meanwhile.
      if (sequence.turn !== turn) return;
      this.#give(turn, texts);
    } catch (error) {
      if (sequence.turn !== turn) return;
      turn.failure = CabstandError.from(error);
    }
    this.changed?.(sequence);
  }

  #emit(sequence: TextSequence, turn: TextTurn, out: StepWriter): void {
    turn.steps += 1;
    if (sequence.closed) return;
    const width = turn.results[0]?.length ?? 0;
    const values = new Float32Array(turn.results.length * width);
    for (const [row, result] of turn.results.entries()) values.set(result, row * width);
    const [output] = this.#manifest.outputs;
    out.beginChunk(sequence.id, turn.number);
    try {
      writeTensor(out, output?.name ?? '', 'float32', [turn.results.length, width], values);
    } catch (error) {
      out.dropChunk();
      endTurn(this, sequence, out, runError(error));
      return;
    }
    charge(sequence, turn, out.endChunk());
    endTurn(this, sequence, out, 'completed');
  }
}

function textsOf({ prompt, inputs }: TurnFrame): readonly string[] {
  const texts = prompt === '' ? (inputs[0]?.strings ?? []) : [prompt];
  if (texts.length === 0 || texts.length > MOST_TEXTS)
    throw invalid('LIMIT_EXCEEDED', 'texts', texts.length, `1 to ${MOST_TEXTS} in a turn`);
  return texts;
}
