import { CabstandError } from '@cabstand/core';
import type { RecordEvent } from '../protocol/events';

/** Most records that belong together: more would be a hoster that never comes to an end of them. */
const MOST = 65_536;

/** Holds records that belong together until the last of them has come. */
export class Group {
  #held: RecordEvent[] = [];

  /** The records that belong together with this one, if it is the last of them. */
  add(record: RecordEvent): readonly RecordEvent[] | undefined {
    this.#held.push(record);
    if (record.more === true) {
      if (this.#held.length < MOST) return undefined;
      throw new CabstandError(
        'NODE_BAD_REPLY',
        `the hoster sent ${MOST} records that belong together, and no last one`,
      );
    }
    const whole = this.#held;
    this.#held = [];
    return whole;
  }

  /** The stream broke: those that have come will come again. */
  drop(): void {
    this.#held = [];
  }
}
