/** Long inputs that are cut into frames in step: a step takes a frame of each. */
import { CabstandError } from '@cabstand/core';
import type { FramedInput } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import type { InputFrame, TurnFrame } from '../frames/types';
import type { BoundModel } from '../graphs/bound';
import { unfit } from '../snapshot/bytes';
import type { LoadedFraming, SavedFraming } from '../snapshot/framing';
import type { InputUse, Progress } from '../snapshot/progress';
import { FrameCutter } from './frame-cutter';
import type { InputSets } from './input-set';
import type { InputSource, SourceUse } from './input-source';
import type { RecurrentTurn } from './turn';

export class FrameSource implements InputSource {
  readonly cutters: readonly FrameCutter[];
  readonly #framed: readonly FramedInput[];
  readonly #sets: InputSets;
  readonly #mostBytes: number;
  /** What fills no frame at the end of a turn is padded. */
  readonly #pads: boolean;
  /** No more input follows in this turn. */
  #finishing = false;

  constructor({ manifest }: BoundModel, sets: InputSets) {
    const { framed, inputs, limits } = manifest;
    this.cutters = framed.map((framing) => {
      const input = inputs.find(({ name }) => name === framing.input);
      if (input === undefined) throw new CabstandError('INTERNAL', `no input ${framing.input}`);
      return new FrameCutter(framing, input);
    });
    this.#framed = framed;
    this.#sets = sets;
    this.#mostBytes = 2 * limits.maxInputBytes;
    // The same for all framed inputs: the manifest was checked.
    this.#pads = framed[0]?.remainder === 'pad';
  }

  begin(turn: RecurrentTurn, frame: TurnFrame, resume: Progress | undefined): void {
    const uses = resume && [resume, ...(resume.others ?? [])];
    this.#framed.forEach(({ input }, index) => {
      if ((uses?.[index]?.inputUsed ?? 0) > 0 && !frame.inputs.some(({ name }) => name === input))
        throw unfit('turn', 'the turn began with input that is missing now');
    });
    // One set serves all steps: what comes with the turn and is not framed.
    turn.set = this.#sets.make(frame.inputs, turn.parameters, -1);
    this.#addAll(frame.inputs, -1);
    if (turn.last) this.#finish();
  }

  add(turn: RecurrentTurn, { inputs, part }: InputFrame): void {
    this.#addAll(inputs, part);
    if (turn.last) this.#finish();
    let waiting = 0;
    for (const cutter of this.cutters) waiting += cutter.waitingBytes;
    if (waiting > this.#mostBytes)
      throw new CabstandError('LIMIT_EXCEEDED', 'live input came faster than it was taken');
  }

  ready(): boolean {
    for (const cutter of this.cutters) if (!cutter.ready) return false;
    return true;
  }

  advance(): void {
    for (const cutter of this.cutters) cutter.advance();
    if (this.#finishing) this.#pad();
  }

  /** Parts that all inputs have used up. */
  taken(): number {
    let taken = Infinity;
    for (const cutter of this.cutters) taken = Math.min(taken, cutter.taken);
    return taken;
  }

  used(): SourceUse {
    const [first, ...others] = this.cutters.map((cutter): InputUse => {
      const { partUsed, inputUsed } = cutter.used;
      return { partUsed, inputUsed };
    });
    const use = { partsTaken: this.taken(), ...(first ?? { partUsed: 0, inputUsed: 0 }) };
    return others.length === 0 ? use : { ...use, others };
  }

  endTurn(keep: boolean): void {
    this.#finishing = false;
    for (const cutter of this.cutters) cutter.endTurn(keep);
  }

  save(): SavedFraming[] {
    return this.cutters.map((cutter) => cutter.save());
  }

  restore(saved: readonly LoadedFraming[], progress: Progress | undefined): void {
    const uses = progress && [progress, ...(progress.others ?? [])];
    this.cutters.forEach((cutter, index) => {
      const framing = saved[index];
      const use = uses?.[index];
      if (framing === undefined) return;
      const partsTaken = progress?.partsTaken ?? 0;
      cutter.restore(framing, use && { partsTaken, ...use });
    });
  }

  #addAll(tensors: readonly Tensor[], part: number): void {
    const found = this.#framed.map(({ input }) => tensors.find(({ name }) => name === input));
    // None is added where one does not fit.
    found.forEach((tensor, index) => tensor && this.cutters[index]?.check(tensor, part));
    found.forEach((tensor, index) => tensor && this.cutters[index]?.add(tensor, part));
  }

  #finish(): void {
    this.#finishing = true;
    this.#pad();
  }

  /** Where one input has items that no frame held, all get a whole frame. */
  #pad(): void {
    if (!this.#pads) return;
    let unseen = false;
    for (const cutter of this.cutters) unseen ||= cutter.unseen;
    if (unseen) for (const cutter of this.cutters) cutter.pad();
  }
}
