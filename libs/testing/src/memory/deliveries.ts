import { BoundedMap } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';

interface Delivered {
  readonly turn: number;
  /** Of its records, but for those that tell of input. */
  readonly positions: Set<number>;
}

const MOST = 10_000;

/** How far the consumers of a subnet's sessions are, whichever hoster served them. */
export class Deliveries {
  readonly #sessions = new BoundedMap<string, Delivered>(MOST);
  #waiting: (() => void)[] = [];

  /** Records of the turn that its consumer was sent, but for those that tell of input. */
  of(session: string, turn: number): number {
    const known = this.#sessions.get(session);
    return known?.turn === turn ? known.positions.size : 0;
  }

  record(session: string, { turn, position, input, end_of_turn: end }: v1.Record__Output): void {
    // The end of a session that goes with its turn is none for its consumer: the position comes again elsewhere.
    if (end) return;
    const known = this.#sessions.get(session);
    if (known !== undefined && turn < known.turn) return;
    const positions = known?.turn === turn ? known.positions : new Set<number>();
    // What its consumer refused comes once more: no position counts twice.
    if (!input) positions.add(position);
    this.#sessions.set(session, { turn, positions });
    this.changed();
  }

  /** Resolves once this is so. */
  async reach(so: () => boolean): Promise<void> {
    while (!so())
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
  }

  changed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
