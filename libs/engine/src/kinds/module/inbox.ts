/** What came for a session and waits for one of its author's calls. */
import { createHash } from 'node:crypto';
import { CabstandError, invalid } from '@cabstand/core';
import type { Part } from './messages';

/** Of a command from beside the consumer: it has no place among those that are counted. */
const UNNUMBERED = -1;

export interface CommandCall {
  /** Of the session, from 0; `UNNUMBERED` for one that is given once for each time that it came. */
  readonly number: number;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

/** The content of this many commands is remembered, to tell one that came twice from another one. */
const REMEMBERED = 256;

/** Commands by number: each is given once, in order, however often and in whatever order they came. */
export class CommandInbox {
  readonly #most: number;
  readonly #waiting = new Map<number, CommandCall>();
  readonly #known = new Map<number, string>();
  readonly #unnumbered: CommandCall[] = [];
  #next: number;

  /** @param next number of the first one that was not applied yet @param most that may wait, with a number and without */
  constructor(next: number, most: number) {
    this.#next = next;
    this.#most = most;
  }

  /** Number of the next one to apply. */
  get next(): number {
    return this.#next;
  }

  get empty(): boolean {
    return this.due() === undefined;
  }

  /**
   * @throws CabstandError COMMAND_CONFLICT for other content under a number that came before,
   * LIMIT_EXCEEDED where too many wait.
   */
  add(call: CommandCall): void {
    if (call.number === UNNUMBERED) {
      this.#checkRoom(this.#unnumbered.length);
      this.#unnumbered.push(call);
      return;
    }
    const content = contentOf(call);
    const known = this.#known.get(call.number);
    if (known !== undefined && known !== content)
      throw new CabstandError(
        'COMMAND_CONFLICT',
        `command ${call.number} came before, and was another one`,
        { metadata: { field: 'sequence', value: String(call.number) } },
      );
    if (known !== undefined || call.number < this.#next) return;
    this.#checkRoom(this.#waiting.size);
    this.#remember(call.number, content);
    this.#waiting.set(call.number, call);
  }

  #checkRoom(waiting: number): void {
    if (waiting >= this.#most)
      throw invalid(
        'LIMIT_EXCEEDED',
        'commands',
        `${waiting + 1} that wait`,
        `at most ${this.#most}`,
      );
  }

  /** The one that is due; `began` passes over it. */
  due(): CommandCall | undefined {
    return this.#waiting.get(this.#next) ?? this.#unnumbered[0];
  }

  /** It is carried out now, perhaps once more. Its sender may still send it again. */
  began(call: CommandCall): void {
    if (call.number === UNNUMBERED) {
      // One of an earlier life is not among those that came.
      if (call === this.#unnumbered[0]) this.#unnumbered.shift();
      return;
    }
    this.#remember(call.number, contentOf(call));
    this.#waiting.delete(call.number);
    this.#next = call.number + 1;
  }

  /** Those that wait are given to the next turn: whoever sent them sends them once more. */
  forget(): void {
    for (const number of this.#waiting.keys()) this.#known.delete(number);
    this.#waiting.clear();
    this.#unnumbered.length = 0;
  }

  #remember(number: number, content: string): void {
    this.#known.set(number, content);
    const oldest = number - REMEMBERED;
    if (oldest < this.#next) this.#known.delete(oldest);
  }
}

function contentOf({ name, arguments: args }: CommandCall): string {
  return createHash('sha256')
    .update(JSON.stringify([name, args]))
    .digest('base64');
}

/** Parts of live input, in order. */
export class PartInbox {
  readonly #parts: Part[] = [];
  #came: number;
  #lastCame: boolean;
  #taken: number;
  #ended: boolean;

  /** @param taken parts that the author has already @param ended the last one is among them */
  constructor(taken: number, ended: boolean) {
    this.#came = taken;
    this.#taken = taken;
    this.#lastCame = ended;
    this.#ended = ended;
  }

  get taken(): number {
    return this.#taken;
  }

  /** The author has them all. */
  get ended(): boolean {
    return this.#ended;
  }

  get empty(): boolean {
    return this.#parts.length === 0;
  }

  /** @throws CabstandError TURN_OUT_OF_ORDER where parts do not follow one another. */
  add(part: Part): void {
    if (part.number < this.#came) return;
    if (this.#lastCame)
      throw new CabstandError('TURN_OUT_OF_ORDER', 'the turn takes no more input');
    if (part.number !== this.#came)
      throw new CabstandError(
        'TURN_OUT_OF_ORDER',
        `live input: part ${part.number}, expected ${this.#came}`,
      );
    this.#came += 1;
    this.#lastCame = part.last;
    this.#parts.push(part);
  }

  take(): Part | undefined {
    const part = this.#parts.shift();
    if (part === undefined) return undefined;
    this.#taken += 1;
    this.#ended = part.last;
    return part;
  }
}
