/** State in batch layout: what a step writes is what the next one reads, without a copy. */
import type { BoundState } from '../graphs/bound';
import type { StateBatch, StateMemory, StateRow } from '../graphs/state-memory';
import type { NumericArray } from '@cabstand/tensor';
import type { Group } from '../runtime/sequence';
import { HOST_MEMORY } from './host-memory';

/** A sequence as layouts see it. */
export interface Occupant {
  /** State while it is in no layout, by state. */
  readonly parked: readonly StateRow[];
  home: { readonly layout: Layout; readonly row: number } | undefined;
}

export class Layout {
  readonly rows: (Occupant | undefined)[];
  occupied = 0;
  /** By state: the copies that take turns. One is current, the others are written next. */
  readonly states: readonly (readonly StateBatch[])[];
  readonly current: number[];
  /** Prepared inputs and outputs by group; owned by the stepper. */
  readonly prepared = new WeakMap<Group, object>();

  constructor(
    readonly size: number,
    states: readonly BoundState[],
    copies: number,
    readonly memory: StateMemory = HOST_MEMORY,
  ) {
    this.rows = Array.from({ length: size }, () => undefined);
    this.states = states.map((state) =>
      Array.from({ length: copies }, () => memory.batch(state, size)),
    );
    this.current = states.map(() => 0);
  }

  stateTensor(state: number, ahead: number): StateBatch {
    const copies = this.states[state] as readonly StateBatch[];
    return copies[((this.current[state] as number) + ahead) % copies.length] as StateBatch;
  }

  /** What was written to the next copy of a state is its value now. */
  advance(state: number): void {
    const copies = this.states[state]?.length ?? 1;
    this.current[state] = ((this.current[state] ?? 0) + 1) % copies;
  }

  /** Which copies are current: for `rewind` and `undo`, as long as a step lasts. */
  mark(): readonly number[] {
    return [...this.current];
  }

  /** Takes all rows back to what they were at the mark. */
  rewind(mark: readonly number[]): void {
    for (let state = 0; state < mark.length; state += 1)
      this.current[state] = mark[state] as number;
  }

  /** Takes one row back to what it was at the mark. */
  undo(row: number, mark: readonly number[]): void {
    this.states.forEach((copies, state) => {
      this.stateTensor(state, 0).copyRow(row, copies[mark[state] as number] as StateBatch);
    });
  }

  /** Nobody is in it, and nobody will be. */
  release(): void {
    for (const copies of this.states) for (const batch of copies) batch.release();
  }
}

/** Puts sequences into layouts. State is moved only when a batch is not the one it was before. */
export class Layouts {
  /** Kept for the next batches of their sizes. */
  #free: Layout[] = [];

  constructor(
    readonly states: readonly BoundState[],
    /** Copies of each state that a step needs: one more than it writes. */
    readonly copies: number,
    readonly memory: StateMemory = HOST_MEMORY,
  ) {}

  /** The layout that holds exactly these sequences, in any order; a new one holds them in this order. */
  place(batch: readonly Occupant[]): Layout {
    const home = batch[0]?.home?.layout;
    if (
      home?.size === batch.length &&
      home.occupied === batch.length &&
      batch.every((occupant) => occupant.home?.layout === home)
    )
      return home;
    for (const occupant of batch) this.park(occupant);
    const layout = this.#take(batch.length);
    batch.forEach((occupant, row) => {
      layout.rows[row] = occupant;
      occupant.home = { layout, row };
      this.states.forEach((_, state) =>
        layout.stateTensor(state, 0).writeRow(row, occupant.parked[state] as StateRow),
      );
    });
    layout.occupied = batch.length;
    return layout;
  }

  /** Takes a sequence out of its layout; its state is then in `parked`. */
  park(occupant: Occupant): void {
    const { home } = occupant;
    if (home === undefined) return;
    const { layout, row } = home;
    this.states.forEach((_, state) =>
      layout.stateTensor(state, 0).readRow(row, occupant.parked[state] as StateRow),
    );
    this.#vacate(occupant, layout, row);
    // A layout that is mostly empty holds more memory than it is worth.
    if (layout.occupied > 0 && layout.occupied * 2 < layout.size)
      for (const other of layout.rows) if (other !== undefined) this.park(other);
  }

  /** A sequence's state, wherever it is: valid until the sequence goes on. */
  peek(occupant: Occupant): readonly NumericArray[] {
    const { home } = occupant;
    if (home !== undefined)
      occupant.parked.forEach((target, state) =>
        home.layout.stateTensor(state, 0).readRow(home.row, target),
      );
    const values = occupant.parked.map((row) => this.memory.read(row));
    // What it has is in the layout.
    if (home !== undefined) for (const row of occupant.parked) this.memory.release(row);
    return values;
  }

  /** Takes a sequence out without keeping its state. */
  drop(occupant: Occupant): void {
    const { home } = occupant;
    if (home !== undefined) this.#vacate(occupant, home.layout, home.row);
    for (const row of occupant.parked) this.memory.release(row);
  }

  #vacate(occupant: Occupant, layout: Layout, row: number): void {
    layout.rows[row] = undefined;
    layout.occupied -= 1;
    occupant.home = undefined;
    if (layout.occupied > 0) return;
    this.#free.push(layout);
    if (this.#free.length > this.memory.keptLayouts) this.#free.shift()?.release();
  }

  #take(size: number): Layout {
    const index = this.#free.findLastIndex((layout) => layout.size === size);
    const [found] = index < 0 ? [] : this.#free.splice(index, 1);
    return found ?? new Layout(size, this.states, this.copies, this.memory);
  }
}
