import { CabstandError, invalid } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { Checkpoint, TurnInput } from '@cabstand/client/protocol';
import { exists, stoodStill } from '../held-sessions';
import type { Held } from '../held-sessions';
import { digestOf } from './digest';
import { Followed } from './followed';
import type { FollowSettings, Retention, TurnGiven } from './followed';

/** What a turn is begun with. */
interface TurnAsk extends TurnGiven {
  readonly input: TurnInput;
  /** The position behind the last record that the caller has of it: it asks once more. Default: none. */
  readonly after?: number | undefined;
}

export interface NextTurnAsk extends TurnAsk {
  /** Its number, by which it is known when it comes once more. Default: whichever is next. */
  readonly turn?: number | undefined;
  /** The session before that turn, if its caller has that. */
  readonly checkpoint?: (Checkpoint & { readonly model: string }) | undefined;
}

export interface SessionAsk extends TurnAsk {
  /** Undefined for one that ends with its turn. */
  readonly id: string | undefined;
  /** The caller gave the name: others may have it already. */
  readonly named: boolean;
  readonly retention: Retention;
  readonly model: string;
  readonly priority: number;
}

/** A session to follow, and where its reader begins. */
export interface Begun {
  readonly followed: Followed;
  readonly from: number;
}

/** The sessions whose readers come over HTTP, by their names. */
export class FollowedSessions {
  readonly #settings: FollowSettings;
  readonly #most: number;
  /** In order of their beginning. */
  readonly #byKey = new Map<string, Followed>();
  /** Sessions that are being opened, by key. */
  readonly #opening = new Map<string, Promise<unknown>>();

  /** @param most sessions that are remembered: of more, those without a turn are forgotten first */
  constructor(settings: FollowSettings, most: number) {
    this.#settings = settings;
    this.#most = most;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /**
   * A new session with its first turn, or the one that this very call has opened before, whose answer was lost.
   * A durable one of which the caller has a part goes on behind that, though this gateway has nothing of it. Throws
   * SESSION_EXISTS, HOSTER_FULL, QUOTA_EXCEEDED; SESSION_UNKNOWN for one that is not durable, and gone, of which the
   * caller has a part: it would come twice.
   */
  async open(principal: Principal, ask: SessionAsk): Promise<Begun> {
    const { id, named, model, priority, retention, after } = ask;
    if (after !== undefined && !named) throw unknown(id);
    if (id === undefined) {
      const held = this.#settings.sessions.open(principal, { id, model, priority, epoch: 0 });
      const session = { principal, id: '', retention };
      const followed = new Followed(this.#settings, session, 0, () => undefined);
      followed.begin(held, ask);
      return { followed, from: 0 };
    }
    const key = keyOf(principal, id);
    // Of two that come at once the second finds what the first has opened.
    for (let before; (before = this.#opening.get(key)) !== undefined;)
      await before.catch(() => undefined);
    const opening = this.#open(principal, id, ask).finally(() => this.#opening.delete(key));
    this.#opening.set(key, opening);
    return await opening;
  }

  async #open(principal: Principal, id: string, ask: SessionAsk): Promise<Begun> {
    const { named, model, priority, retention, input, after } = ask;
    const { sessions } = this.#settings;
    const digest = digestOf(input, model);
    const before = await this.#current(principal, id);
    if (before !== undefined) {
      const { newest } = before;
      if (newest?.turn !== 0 || newest.digest !== digest) throw exists(id);
      return { followed: before, from: after ?? 0 };
    }
    const asked = { id, model, priority, epoch: 0 };
    if (after !== undefined && retention === 'durable') {
      const brought = { turn: 0, input, checkpoint: undefined };
      const held = await this.#take(principal, { id, model, epoch: 0, from: after, brought }, 0);
      const followed = this.#add(principal, id, retention, after);
      followed.begin(held, ask, digest);
      return { followed, from: after };
    }
    if (after !== undefined)
      throw (await sessions.isAtHoster(principal, asked)) ? exists(id) : unknown(id);
    const held = await (named
      ? sessions.openNew(principal, asked)
      : sessions.open(principal, asked));
    const followed = this.#add(principal, id, retention, 0);
    followed.begin(held, ask, digest);
    return { followed, from: 0 };
  }

  /**
   * The next turn of a session, wherever it is, or the newest one, where the call is repeated. Throws SESSION_BUSY,
   * SESSION_UNKNOWN, TURN_CONFLICT, TURN_OUT_OF_ORDER.
   */
  async turn(principal: Principal, id: string, ask: NextTurnAsk): Promise<Begun> {
    const { input, turn, after, checkpoint } = ask;
    const digest = digestOf(input);
    const before = this.#byKey.get(keyOf(principal, id));
    if (before !== undefined && (before.turnRuns || after !== undefined || turn !== undefined)) {
      const current = await this.#current(principal, id);
      const repeated = current && repeats(current, ask, digest);
      if (repeated !== undefined) return repeated;
      if (current?.turnRuns === true) throw busy(id);
    }
    const { sessions } = this.#settings;
    const epoch = sessions.find(principal, id)?.epoch ?? 0;
    // Only with a number it is plain that what was read is of this very turn.
    const from = turn === undefined ? undefined : (after ?? checkpoint?.position);
    const brought =
      turn === undefined || checkpoint === undefined ? undefined : { turn, input, checkpoint };
    const wanted = { id, epoch, model: checkpoint?.model ?? '', from, brought };
    const held = await this.#take(principal, wanted, turn);
    const first = from ?? held.session.position;
    const followed = this.#of(principal, id, held, first);
    followed.begin(held, ask, digest);
    return { followed, from: first };
  }

  /** A session that is to run a turn, or its rest. */
  async #take(
    principal: Principal,
    wanted: Parameters<FollowSettings['sessions']['take']>[1],
    turn: number | undefined,
  ): Promise<Held> {
    const { sessions } = this.#settings;
    const held = await sessions.take(principal, wanted);
    try {
      checkNext(held, wanted.id, turn);
    } catch (error) {
      sessions.keep(held);
      throw error;
    }
    return held;
  }

  /**
   * A session that somebody comes back to. Undefined where nothing is to come. Throws SESSION_BUSY where it has a
   * reader and this one does not say that it goes on, SESSION_UNKNOWN.
   *
   * @param from the first position wanted; undefined for the oldest that is kept
   */
  async resume(
    principal: Principal,
    id: string,
    from: number | undefined,
  ): Promise<Followed | undefined> {
    const here = await this.#current(principal, id);
    if (here !== undefined) {
      if (here.hasReader && from === undefined) throw busy(id);
      return here.turnRuns || from !== here.next ? here : undefined;
    }
    const { sessions } = this.#settings;
    const epoch = sessions.find(principal, id)?.epoch ?? 0;
    const held = await sessions.take(principal, { id, epoch, model: '', from });
    if (!held.session.turnPending) {
      sessions.keep(held);
      return undefined;
    }
    const followed = this.#add(principal, id, 'durable', from ?? held.session.position);
    followed.begin(held, { input: undefined, elements: 'list' });
    return followed;
  }

  /** It is ended: nothing of it is kept. */
  forget(principal: Principal, id: string): void {
    this.#byKey.get(keyOf(principal, id))?.drop();
  }

  /** What is known of a session here, unless it has gone on without this gateway: that is forgotten. */
  async #current(principal: Principal, id: string): Promise<Followed | undefined> {
    const key = keyOf(principal, id);
    const here = this.#byKey.get(key);
    if (here === undefined) return undefined;
    const { sessions } = this.#settings;
    const { whereabouts } = here;
    if (!(await sessions.goneOn(principal, whereabouts))) return this.#byKey.get(key);
    // It may have been taken up from where it is meanwhile, or a turn of it may have begun here.
    if (stoodStill(whereabouts, here.whereabouts)) here.abandon();
    return this.#byKey.get(key);
  }

  /** What was followed of a session before, where nobody else has had it since. */
  #of(principal: Principal, id: string, { session }: Held, first: number): Followed {
    const before = this.#byKey.get(keyOf(principal, id));
    const goesOn =
      before?.turnRuns === false &&
      before.next === first &&
      before.whereabouts?.epoch === session.whereabouts?.epoch;
    return goesOn ? before : this.#add(principal, id, 'durable', first);
  }

  #add(principal: Principal, id: string, retention: Retention, position: number): Followed {
    const key = keyOf(principal, id);
    const followed: Followed = new Followed(
      this.#settings,
      { principal, id, retention },
      position,
      () => {
        if (this.#byKey.get(key) === followed) this.#byKey.delete(key);
      },
    );
    this.#byKey.get(key)?.drop();
    this.#byKey.set(key, followed);
    if (this.#byKey.size > this.#most) this.#forgetOne();
    return followed;
  }

  /** One that can go on where its hoster has it, as at any other gateway; best one that has nothing to go on with. */
  #forgetOne(): void {
    const idle = [...this.#byKey.values()].filter(({ hasReader, isHere }) => !hasReader && !isHere);
    (idle.find(({ turnRuns }) => !turnRuns) ?? idle[0])?.drop();
  }
}

/** The newest turn, where the call that began it comes once more. Throws TURN_CONFLICT. */
function repeats(
  followed: Followed,
  { turn, after }: NextTurnAsk,
  digest: string,
): Begun | undefined {
  const { newest, turnRuns, next } = followed;
  if (newest === undefined) return undefined;
  const same = newest.digest === digest;
  const from = after ?? newest.position;
  if (turn === undefined) {
    // The same input may be meant once more, but not by somebody who has a part of what it gave.
    const reading = from > newest.position && (turnRuns || from < next);
    return same && reading ? { followed, from } : undefined;
  }
  if (turn !== newest.turn) return undefined;
  if (same) return { followed, from };
  throw new CabstandError('TURN_CONFLICT', `turn ${turn} was sent before with other content`, {
    metadata: { turn: String(turn) },
  });
}

/** Throws SESSION_BUSY where a turn runs that is not this one, TURN_OUT_OF_ORDER. */
function checkNext({ session }: Held, id: string, turn: number | undefined): void {
  // Whether that has the same content, its hoster knows.
  if (session.turnPending && turn !== session.turn) throw busy(id);
  if (turn !== undefined && turn !== session.turn)
    throw invalid('TURN_OUT_OF_ORDER', 'turn', turn, String(session.turn));
}

function unknown(id: string | undefined): CabstandError {
  return new CabstandError(
    'SESSION_UNKNOWN',
    'there is no session of which a part could have come',
    {
      metadata: { session_id: id ?? '' },
    },
  );
}

const keyOf = ({ id }: Principal, session: string): string => `${id} ${session}`;

function busy(id: string): CabstandError {
  return new CabstandError('SESSION_BUSY', `a turn of session ${id} runs, and has its reader`, {
    metadata: { session_id: id },
  });
}
