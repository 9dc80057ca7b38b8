import { isReason } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { RouterObserver } from '../observer';
import { clip } from '../registry/validate';
import { Paths } from './paths';
import type { Happening, Totals } from './view';

/** What is kept of the past; each is some 300 bytes. */
const KEPT = 100;
const LONGEST_TEXT = 240;
/** Moves between the same two nodes that are told as one. */
const TOGETHER_MS = 2000;

interface Move {
  readonly from: string;
  readonly to: string;
  readonly at: number;
  readonly sessions: number;
}

/** Counts, and remembers the last of, what happens in a subnet. Costs next to nothing while nobody looks. */
export class Happenings {
  readonly #clock: Clock;
  readonly #kept: Happening[] = [];
  readonly #handOuts: Record<string, number> = {};
  readonly paths: Paths;
  #number = 0;
  #used = 0;
  #moved = 0;
  #bans = 0;
  #reports = 0;
  #lastMove: Move | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.paths = new Paths(clock);
  }

  get totals(): Totals {
    return {
      handOuts: { ...this.#handOuts },
      used: this.#used,
      moved: this.#moved,
      bans: this.#bans,
      reports: this.#reports,
    };
  }

  /** The newest first. */
  newest(most: number): readonly Happening[] {
    return this.#kept.slice(-most).reverse();
  }

  readonly observer: RouterObserver = {
    handedOut: (result) => {
      this.#handOuts[result] = (this.#handOuts[result] ?? 0) + 1;
    },
    leaseEnded: (end) => {
      if (end === 'consumed') this.#used++;
    },
    nodeAdded: ({ id, address }) => this.#add('joined', false, `${id} joined from ${address}`),
    stateChanged: ({ id, state }, before) => {
      const bad =
        state.kind === 'SUSPECT' || (state.kind === 'OFFLINE' && state.cause !== 'deregistered');
      const why = state.reasons.length === 0 ? '' : ` (${state.reasons.join('; ')})`;
      this.#add('state', bad, `${id}: ${before} → ${state.kind}${why}`);
    },
    nodeRemoved: ({ id }) => this.#add('left', false, `${id} is forgotten`),
    banned: ({ id, bannedUntil }) => {
      this.#bans++;
      const seconds = Math.round(((bannedUntil ?? 0) - this.#clock.now()) / 1000);
      this.#add('banned', true, `${id} is banned for ${seconds} s`);
    },
    reported: ({ id }, reason) => {
      this.#reports++;
      // Whatever else a client writes is not shown to others.
      const why = isReason(reason) ? `: ${reason}` : '';
      this.#add('reported', true, `a client says that ${id} failed it${why}`);
    },
    moved: (move) => {
      this.#move(move.fromId, move.to.id);
      this.paths.moved(move);
    },
  };

  /** Sessions of a node that died arrive elsewhere one after the other: one line tells of them. */
  #move(from: string, to: string): void {
    this.#moved++;
    const at = this.#clock.now();
    const last = this.#lastMove;
    const goesOn =
      last?.from === from &&
      last.to === to &&
      at - last.at <= TOGETHER_MS &&
      this.#kept.at(-1)?.kind === 'moved';
    if (goesOn) this.#kept.pop();
    const sessions = goesOn ? last.sessions + 1 : 1;
    this.#lastMove = { from, to, at: goesOn ? last.at : at, sessions };
    const what = sessions === 1 ? '1 session goes' : `${sessions} sessions go`;
    this.#add('moved', false, `${what} on at ${to}, from ${from}`);
  }

  #add(kind: Happening['kind'], bad: boolean, text: string): void {
    this.#number++;
    const at = this.#clock.now();
    this.#kept.push({ number: this.#number, at, kind, bad, text: clip(text, LONGEST_TEXT) });
    if (this.#kept.length > KEPT) this.#kept.shift();
  }
}
