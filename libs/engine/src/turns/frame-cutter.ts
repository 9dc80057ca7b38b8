import type { FramedInput, InputSpec } from '@cabstand/model';
import { arrayOf, elementCount } from '@cabstand/tensor';
import type { DType, NumericArray, Tensor } from '@cabstand/tensor';
import { unfit } from '../snapshot/bytes';
import type { LoadedFraming, SavedFraming } from '../snapshot/framing';
import type { InputUse } from '../snapshot/progress';
import { allocate, bytesOf, copyAt, fill, slice } from '../graphs/batch-tensor';

interface Part {
  readonly from: 'earlier' | 'turn' | 'live' | 'padding';
  readonly array: NumericArray;
  /** Items along the framed axis. */
  readonly items: number;
  /** int16 samples: divided by 32768 when they are copied. */
  readonly scaled: boolean;
  /** Number of the live part; -1 for others. */
  readonly number: number;
}

/** How much of a turn's input frames have used up. */
export interface UsedInput extends InputUse {
  readonly partsTaken: number;
}

/**
 * Cuts one input of a session into overlapping frames with carried items in front. Holds the parts as
 * they came; each item is copied into the batch as often as frames hold it. `fill` changes nothing: a
 * frame is used up only by `advance`, after the step succeeded.
 */
export class FrameCutter {
  readonly #framing: FramedInput;
  readonly #dtype: DType;
  /** Blocks before the framed axis, and elements of one item behind it. */
  readonly #outer: number;
  readonly #inner: number;
  /** The items before the next frame, `carryValue` at first: [outer, carry, inner]. */
  readonly #history: NumericArray;
  #parts: Part[] = [];
  /** Where the next frame begins in the first part. */
  #offset = 0;
  #available = 0;
  /** Items at the front that a frame has held already. */
  #seen = 0;
  #taken = 0;
  /** Items used up of the input that came with the turn. */
  #inputUsed = 0;
  /** After a restore: items to pass over of the turn's own input and of the first live part. */
  #passInput = 0;
  #passPart = 0;

  constructor(framing: FramedInput, input: InputSpec) {
    const shape = input.shape.map((size) => (typeof size === 'number' ? size : 1));
    this.#framing = framing;
    this.#dtype = input.dtype;
    this.#outer = elementCount(shape.slice(0, framing.axis));
    this.#inner = elementCount(shape.slice(framing.axis + 1));
    this.#history = allocate(input.dtype, this.#outer * framing.carry * this.#inner);
    if (framing.carryValue !== 0) fill(input.dtype, this.#history, framing.carryValue);
  }

  /** A whole frame is there. */
  get ready(): boolean {
    return this.#available >= this.#framing.frame;
  }

  /** Items wait that no frame has held yet. */
  get unseen(): boolean {
    return this.#available > this.#seen;
  }

  /** Bytes of input that wait. */
  get waitingBytes(): number {
    return this.#available * this.#outer * this.#inner * this.#history.BYTES_PER_ELEMENT;
  }

  /** Live parts below this number are used up. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Whether the input is as long as what a restored turn used of it.
   *
   * @throws CabstandError CHECKPOINT_INVALID where it is not.
   */
  check(tensor: Tensor, number: number): void {
    const items = tensor.shape[this.#framing.axis] ?? 0;
    const pass = number < 0 ? this.#passInput : this.#passPart;
    if (pass > 0 && (pass > items || this.#parts.length > 0))
      throw unfit('turn', `${pass} items of an input are used, ${items} came`);
  }

  /** Adds a live part, or, with number -1, the input that comes with the turn; `check` it first. */
  add(tensor: Tensor, number: number): void {
    const items = tensor.shape[this.#framing.axis] ?? 0;
    const from = number < 0 ? 'turn' : 'live';
    // There is nothing in it to take, and a part of the turn that follows would not be the first.
    if (items === 0 && from === 'turn') return;
    const pass = from === 'turn' ? this.#passInput : this.#passPart;
    const scaled = tensor.dtype !== this.#dtype;
    this.#push({ from, array: arrayOf(tensor), items, scaled, number });
    if (pass === 0) return;
    if (from === 'turn') this.#passInput = 0;
    else this.#passPart = 0;
    this.#offset = pass;
    this.#available -= pass;
    this.#drop();
  }

  /** What a snapshot holds of it. */
  save(): SavedFraming {
    const [first] = this.#parts;
    const items = first?.from === 'earlier' ? first.items - this.#offset : 0;
    return { seen: this.#seen, carried: this.#history, kept: this.#front(items) };
  }

  /** How far the running turn's own input is used; a snapshot does not hold the input itself. */
  get used(): UsedInput {
    const [first] = this.#parts;
    return {
      partsTaken: this.#taken,
      partUsed: first?.from === 'live' ? this.#offset : this.#passPart,
      inputUsed: first?.from === 'turn' ? this.#offset : this.#inputUsed,
    };
  }

  /** Takes the place of what was saved. `used` where it was within a turn, whose input comes again. */
  restore(saved: LoadedFraming, used: UsedInput | undefined): void {
    bytesOf(this.#history).set(saved.carried);
    this.#seen = saved.seen;
    const array = allocate(this.#dtype, saved.kept.length / this.#history.BYTES_PER_ELEMENT);
    bytesOf(array).set(saved.kept);
    this.#keep(array);
    this.#taken = used?.partsTaken ?? 0;
    this.#passInput = used?.inputUsed ?? 0;
    this.#passPart = used?.partUsed ?? 0;
  }

  /** Adds zeros up to a whole frame. */
  pad(): void {
    const missing = this.#framing.frame - this.#available;
    if (missing <= 0) return;
    const array = allocate(this.#dtype, this.#outer * missing * this.#inner);
    this.#push({ from: 'padding', array, items: missing, scaled: false, number: -1 });
  }

  /** Ends the turn: what is left over is kept for the next one, or dropped. */
  endTurn(keep: boolean): void {
    this.#taken = 0;
    this.#inputUsed = 0;
    this.#passInput = 0;
    this.#passPart = 0;
    if (keep && this.#framing.remainder === 'keep') {
      this.#settle();
      return;
    }
    this.#parts = [];
    this.#offset = 0;
    this.#available = 0;
    this.#seen = 0;
  }

  /** Puts carried items and the next frame into `target`: [outer, carry + frame, inner]. */
  fill(target: NumericArray): void {
    const { carry, frame } = this.#framing;
    const inner = this.#inner;
    const length = carry + frame;
    for (let block = 0; block < this.#outer; block += 1) {
      const start = block * length * inner;
      if (carry > 0)
        copyAt(
          target,
          this.#outer === 1
            ? this.#history
            : slice(this.#history, block * carry * inner, carry * inner),
          start,
        );
      this.#copy(target, block, start + carry * inner, frame);
    }
  }

  /** Moves on by a hop. */
  advance(): void {
    const { carry, frame, hop } = this.#framing;
    if (carry > 0) this.#carryOn(carry, hop);
    this.#offset += hop;
    this.#available -= hop;
    this.#seen = frame - hop;
    this.#drop();
  }

  /** The carried items of the next frame: the last ones before it, of this frame and of those before. */
  #carryOn(carry: number, hop: number): void {
    const inner = this.#inner;
    const fresh = Math.min(carry, hop);
    for (let block = 0; block < this.#outer; block += 1) {
      const start = block * carry * inner;
      const end = start + carry * inner;
      if (fresh < carry) this.#history.copyWithin(start, start + fresh * inner, end);
      this.#copy(this.#history, block, end - fresh * inner, fresh, hop - fresh);
    }
  }

  /** Lets go of parts that are used up. */
  #drop(): void {
    let first = this.#parts[0];
    while (first !== undefined && this.#offset >= first.items) {
      this.#offset -= first.items;
      if (first.from === 'live') this.#taken = first.number + 1;
      if (first.from === 'turn') this.#inputUsed = first.items;
      this.#parts.shift();
      first = this.#parts[0];
    }
  }

  #push(part: Part): void {
    this.#parts.push(part);
    this.#available += part.items;
  }

  /** Copies `count` items of a block to element `start` of the target, from item `skip` on. */
  #copy(target: NumericArray, block: number, start: number, count: number, skip = 0): void {
    const inner = this.#inner;
    let at = start;
    let left = count;
    let offset = this.#offset + skip;
    for (let index = 0; left > 0; index += 1) {
      const part = this.#parts[index];
      if (part === undefined) return;
      const items = Math.min(left, Math.max(0, part.items - offset));
      const from = (block * part.items + offset) * inner;
      if (items > 0 && part.scaled)
        scale(target as Float32Array, at, part.array as Int16Array, from, items * inner);
      else if (items > 0) copyAt(target, slice(part.array, from, items * inner), at);
      at += items * inner;
      left -= items;
      offset = Math.max(0, offset - part.items);
    }
  }

  /** Copies what is kept, so that a few left-over items do not hold a long input in memory. */
  #settle(): void {
    this.#keep(this.#front(this.#available));
  }

  /** A copy of the first items that wait. */
  #front(items: number): NumericArray {
    const array = allocate(this.#dtype, this.#outer * items * this.#inner);
    for (let block = 0; block < this.#outer; block += 1)
      this.#copy(array, block, block * items * this.#inner, items);
    return array;
  }

  #keep(array: NumericArray): void {
    const items = array.length / (this.#outer * this.#inner);
    this.#parts = items === 0 ? [] : [{ from: 'earlier', array, items, scaled: false, number: -1 }];
    this.#available = items;
    this.#offset = 0;
  }
}

function scale(
  target: Float32Array,
  at: number,
  source: Int16Array,
  from: number,
  count: number,
): void {
  for (let index = 0; index < count; index += 1)
    target[at + index] = (source[from + index] as number) / 32768;
}
