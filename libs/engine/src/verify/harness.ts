/** Runs turns on a stepper without a process around it, in batches of the caller's choosing. */
import { CabstandError } from '@cabstand/core';
import type { GoldenTurn, Manifest } from '@cabstand/model';
import type { NumericArray, Tensor } from '@cabstand/tensor';
import { decodeFrame } from '../frames/codec';
import { PREFIX } from '../frames/layout';
import { decodeChunk } from './decode-chunk';
import type { DecodedChunk } from './decode-chunk';
import { StepWriter } from '../output/step-writer';
import { RecurrentStepper } from '../kinds/recurrent';
import type { Sequence, Stepper } from '../runtime/sequence';
import type { AnyStepper } from '../kinds/create';
import { neighbourIds, neighbourTensor } from './neighbours';
import type { Neighbour } from './neighbours';

/** What came of one sequence. */
export interface Outcome {
  readonly chunks: DecodedChunk[];
  /** Everything its rows got out of the graphs, state and scores included, run by run. */
  readonly trace: NumericArray[];
  steps: number;
  error: CabstandError | undefined;
}

export class Harness {
  readonly #stepper: Stepper;
  readonly #recurrent: RecurrentStepper | undefined;
  readonly #manifest: Manifest;
  readonly #out = new StepWriter();
  readonly #outcomes = new Map<number, Outcome>();
  #next = 0;

  constructor(manifest: Manifest, stepper: AnyStepper) {
    this.#manifest = manifest;
    this.#stepper = stepper;
    this.#recurrent = stepper instanceof RecurrentStepper ? stepper : undefined;
    if (this.#recurrent !== undefined)
      this.#recurrent.probe = (sequence, _name, values) =>
        this.#outcomes.get(sequence.id)?.trace.push(values);
  }

  /** Opens a sequence and begins the golden turn; as a neighbour, with other values of the same shape. */
  begin(golden: GoldenTurn, neighbour?: { kind: Neighbour; seed: number }): Sequence {
    const sequence = this.#stepper.open(this.#next, 0);
    this.#next += 1;
    sequence.records = Infinity;
    sequence.bytes = Infinity;
    const specs = this.#manifest.inputs;
    const inputs = golden.inputs.map((tensor): Tensor => {
      if (neighbour === undefined) return tensor;
      const spec = specs.find(({ name }) => name === tensor.name);
      return neighbourTensor(tensor, spec, neighbour.kind, neighbour.seed);
    });
    this.#stepper.begin(sequence, {
      type: 'TURN',
      sequence: sequence.id,
      turn: 0,
      prompt: golden.prompt,
      parameters: golden.parameters,
      inputs,
      live: false,
    });
    if (neighbour !== undefined) this.#lead(sequence, neighbour);
    else this.#outcomes.set(sequence.id, { chunks: [], trace: [], steps: 0, error: undefined });
    return sequence;
  }

  outcome(sequence: Sequence): Outcome {
    const outcome = this.#outcomes.get(sequence.id);
    if (outcome === undefined) throw new CabstandError('INTERNAL', 'a neighbour has no outcome');
    return outcome;
  }

  /** Whether another step of the sequence is to come. */
  active(sequence: Sequence): boolean {
    return sequence.turn !== undefined && this.#stepper.ready(sequence);
  }

  /** One step with the rows in this order. */
  async step(rows: readonly Sequence[]): Promise<void> {
    await this.#stepper.step(rows, this.#out);
    if (!this.#out.empty) this.#collect(this.#out.take(rows.length, 0));
    for (const sequence of rows) {
      const outcome = this.#outcomes.get(sequence.id);
      if (outcome !== undefined) outcome.steps += 1;
    }
  }

  end(sequence: Sequence): void {
    if (sequence.turn !== undefined) this.#stepper.endTurn(sequence, false);
    sequence.turn = undefined;
    this.#stepper.release(sequence);
    this.#outcomes.delete(sequence.id);
  }

  #collect(bytes: Buffer): void {
    const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
    if (frame.type !== 'STEP') return;
    for (const item of frame.items) {
      const outcome = this.#outcomes.get(item.sequence);
      if (outcome === undefined) continue;
      if (item.kind === 'chunk') outcome.chunks.push(decodeChunk(item.chunk));
      if (item.kind === 'end' && item.end.reason === 'error')
        outcome.error = new CabstandError(item.end.error.reason, item.end.error.message);
    }
  }

  /** A neighbour of a generator reads other tokens and goes on where others would stop. */
  #lead(sequence: Sequence, { kind, seed }: { kind: Neighbour; seed: number }): void {
    const turn = this.#recurrent === undefined ? undefined : sequence.turn;
    if (turn === undefined || !('ignoreStop' in turn) || !('items' in turn)) return;
    turn.ignoreStop = true;
    turn.items = neighbourIds(turn.items as number[], kind, seed);
  }
}
