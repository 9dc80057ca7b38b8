/**
 * One step of a session that keeps count of itself: it names the hash before it, says what happened, and
 * gives the hash after both. Steps of one lineage make one chain; a step that is lost, comes twice or comes
 * from another lineage has no place in it.
 */
export interface Link {
  readonly before: number;
  readonly after: number;
  readonly step: Step;
}

export type Step =
  | {
      readonly kind: 'frame';
      /** Frames, parts, answered pokes and lucky frames before it. */
      readonly frames: number;
      readonly parts: number;
      readonly pokes: number;
      readonly lucky: number;
      /** First element of the input that came with the beginning. */
      readonly seed: number;
      /** What the part of live input holds; -1 where the frame is of none. */
      readonly part: number;
      readonly chance: readonly number[];
    }
  | {
      readonly kind: 'poke';
      /** What the command says, and the number of those that were answered before. */
      readonly n: number;
      readonly pokes: number;
      readonly frames: number;
      readonly chance: readonly number[];
    }
  | {
      /** At the end of the last turn `done`, and of each one before `turned`. */
      readonly kind: 'said' | 'turned' | 'done';
      readonly frames: number;
      readonly parts: number;
      readonly pokes: number;
      readonly lucky: number;
    };

/** Of a session that has done nothing. */
export const START = 0x811c9dc5;

/** Every so many pokes one is refused. */
const REFUSED_EVERY = 5;

/** Whether the poke of that number is refused, with the content that it would have given. */
export function refuses(n: number): boolean {
  return n % REFUSED_EVERY === REFUSED_EVERY - 1;
}

/** 32-bit FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/) of the step as JSON, begun with `before`. */
export function linked(before: number, step: Step): Link {
  let hash = before;
  for (const character of JSON.stringify(step))
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return { before, after: hash, step };
}

/** Bytes that go with a frame of that hash: their number and their values follow from it. */
export function padOf(hash: number): Uint8Array {
  return Uint8Array.from({ length: 1 + (hash % 2048) }, (_, i) => hash >>> (i % 24));
}
