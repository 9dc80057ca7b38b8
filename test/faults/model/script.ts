/** What an application does with its session, and what an undisturbed run of it gives. */

/** Values of one part of the input; a turn that is not live has one part. */
type Part = readonly number[];

interface ScriptedTurn {
  readonly live: boolean;
  readonly parts: readonly Part[];
}

export type Script = readonly ScriptedTurn[];

interface ExpectedChunk {
  readonly turn: number;
  readonly position: number;
  readonly text: string;
}

interface ExpectedTurn {
  readonly first: number;
  /** Position of its end. */
  readonly end: number;
  readonly steps: number;
}

export interface Expected {
  readonly chunks: readonly ExpectedChunk[];
  readonly turns: readonly ExpectedTurn[];
}

/** The state of a sequence that has computed nothing. */
export const INITIAL_STATE = 1;

/** The model: each state, and so each output, depends on all input before it and on its order. */
export function next(state: number, value: number): number {
  return (Math.imul(state ^ (value + 0x9e3779b9), 0x85ebca6b) ^ (state >>> 13)) >>> 0;
}

export function outputOf(state: number): string {
  return state.toString(16).padStart(8, '0');
}

/** Positions and outputs of a run in which nothing fails. */
export function undisturbed(script: Script): Expected {
  const chunks: ExpectedChunk[] = [];
  const turns: ExpectedTurn[] = [];
  let state = INITIAL_STATE;
  let position = 0;
  script.forEach(({ live, parts }, turn) => {
    const first = position;
    let steps = 0;
    for (const part of parts) {
      for (const value of part) {
        state = next(state, value);
        chunks.push({ turn, position: position++, text: outputOf(state) });
        steps++;
      }
      // A part that is used up has a record of its own.
      if (live) position++;
    }
    // So does the empty one that says that no more follow.
    if (live) position++;
    turns.push({ first, end: position++, steps });
  });
  return { chunks, turns };
}
