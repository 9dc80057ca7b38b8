import { CabstandError, Counts, invalid } from '@cabstand/core';
import type { Clock, Principal, Timer } from '@cabstand/core';
import type { Session } from '@cabstand/client';
import type { Whereabouts } from '@cabstand/client/protocol';
import type { Callers } from './callers';
import { NumberedCommands } from './numbered-commands';
import { rebuilt } from './rebuilt';
import type { Brought } from './rebuilt';

export interface HeldLimits {
  readonly maxSessions: number;
  readonly maxPerPrincipal: number;
  /** How long a session between turns is held, in milliseconds. */
  readonly idleMs: number;
}

/** What a caller asks a session for. */
export interface Asked {
  /** Undefined for one that ends with its call. */
  readonly id: string | undefined;
  /** Counter of the caller's epoch; 0 where it has none. */
  readonly epoch: number;
  readonly model: string;
  /** Only these weights. Default: any. */
  readonly digest?: string | undefined;
  readonly priority: number;
}

/** A session that there is, as a caller asks for it. */
interface Wanted extends Pick<Asked, 'epoch' | 'model'> {
  readonly id: string;
  /** The first record that is wanted. Default: the oldest that is kept. */
  readonly from?: number | undefined;
  /** What callers call `from`. Default `position`. */
  readonly fromField?: string;
  /** What the turn that is wanted is computed from, if its caller gives that: with it `from` need not be kept. */
  readonly brought?: Brought | undefined;
}

/**
 * A session that this gateway has for a caller.
 * - `busy`: a call uses it.
 * - `idle`: it waits for the next one, until the timer fires.
 * - `gone`: it was closed, or goes on without this gateway.
 */
type HeldState =
  | { readonly kind: 'busy' }
  | { readonly kind: 'idle'; readonly timer: Timer }
  | { readonly kind: 'gone' };

export class Held {
  state: HeldState = { kind: 'busy' };
  /** Its caller gives commands their numbers on a stream: nobody else's may have one of them. */
  numbersCommands = false;
  readonly commands: NumberedCommands;

  constructor(
    public key: string,
    readonly principal: string,
    readonly named: boolean,
    readonly session: Session,
    public epoch: number,
  ) {
    this.commands = new NumberedCommands(session);
  }
}

const FULL_RETRY_MS = 1000;
/** For hosters to say how a session stands, in milliseconds: what takes longer is found out by going on with it. */
const ASK_MS = 1000;

/** The sessions of all callers: those of running streams, and named ones between turns. */
export class HeldSessions {
  readonly #callers: Callers;
  readonly #limits: HeldLimits;
  readonly #clock: Clock;
  readonly #stopping: AbortSignal;
  readonly #observe: (session: Session) => void;
  readonly #byKey = new Map<string, Held>();
  /** Sessions that are being taken up from their hosters, by key. */
  readonly #attaching = new Map<string, Promise<Held>>();
  readonly #byPrincipal = new Counts<string>();
  /** Sessions that go through to their hosters. */
  #passing = 0;

  /**
   * @param stopping aborted when the gateway stops: no session is opened, or given to a call, any more
   * @param observe told of each session that is held from now on
   */
  constructor(
    callers: Callers,
    limits: HeldLimits,
    clock: Clock,
    stopping: AbortSignal,
    observe: (session: Session) => void,
  ) {
    this.#stopping = stopping;
    this.#callers = callers;
    this.#limits = limits;
    this.#clock = clock;
    this.#observe = observe;
  }

  get size(): number {
    return this.#byKey.size + this.#passing;
  }

  /**
   * Counts a session that goes through to its hoster, until the disposal. Throws HOSTER_FULL, QUOTA_EXCEEDED,
   * DRAINING.
   */
  pass({ id }: Pick<Principal, 'id'>): Disposable {
    checkOpen(this.#stopping);
    this.#checkRoom({ id });
    this.#byPrincipal.add(id);
    this.#passing++;
    return {
      [Symbol.dispose]: () => {
        this.#byPrincipal.remove(id);
        this.#passing--;
      },
    };
  }

  find({ id }: Principal, sessionId: string): Held | undefined {
    return this.#byKey.get(keyOf(id, sessionId));
  }

  /** A new session, at a hoster once its first turn starts. Throws HOSTER_FULL, QUOTA_EXCEEDED, DRAINING. */
  open(principal: Principal, { id, model, digest, priority, epoch }: Asked): Held {
    checkOpen(this.#stopping);
    if (id !== undefined && this.find(principal, id) !== undefined) throw exists(id);
    this.#checkRoom(principal);
    const { manager } = this.#callers.of(principal);
    const options = {
      ...{ model, priority },
      ...(digest === undefined ? {} : { digest }),
      ...(id === undefined ? {} : { id }),
    };
    return this.#hold(principal, manager.session(options), id !== undefined, epoch);
  }

  /** As `open`, of a name that no hoster knows. Throws SESSION_EXISTS, and what `open` throws. */
  async openNew(principal: Principal, asked: Asked): Promise<Held> {
    const { id } = asked;
    if (id !== undefined && this.find(principal, id) === undefined)
      if (await this.isAtHoster(principal, asked)) throw exists(id);
    return this.open(principal, asked);
  }

  /**
   * Whether some hoster has the session already: of several gateways another one may have opened it, for a call that
   * is repeated here. One that is opened once more would run twice.
   */
  async isAtHoster(principal: Principal, { id = '', model }: Asked): Promise<boolean> {
    const { manager } = this.#callers.of(principal);
    return await manager.isOpen(id, { model, timeouts: { firstMs: ASK_MS } });
  }

  /** Whether a session has gone on without this gateway since it stood like this. */
  async goneOn(principal: Principal, was: Whereabouts | undefined): Promise<boolean> {
    if (was === undefined) return false;
    const { manager } = this.#callers.of(principal);
    return await manager.goneOn(was, { timeouts: { firstMs: ASK_MS } });
  }

  /** What is held of a session, unless it has gone on without this gateway. */
  async current(principal: Principal, sessionId: string): Promise<Held | undefined> {
    const here = this.find(principal, sessionId);
    const was = here?.session.whereabouts;
    if (here === undefined) return undefined;
    const gone = await this.goneOn(principal, was);
    // Its call may have left it meanwhile, and what the hoster said may be of a turn that another one has begun here.
    if (here.state.kind === 'gone' || !stoodStill(was, here.session.whereabouts))
      return this.find(principal, sessionId);
    if (!gone) return here;
    // A call that uses it hears of it from the hoster.
    if (here.state.kind === 'idle') await this.letGo(here);
    return undefined;
  }

  /**
   * A session that there is: here, or at whichever hoster has it. What is known of it here may be old, as callers
   * come to any of several gateways. Throws EPOCH_FENCED for a caller that another one has followed, SESSION_BUSY
   * where a call uses it that is not older, SESSION_UNKNOWN, POSITION_INVALID, and DRAINING.
   */
  async take(principal: Principal, asked: Wanted): Promise<Held> {
    const held = await this.#take(principal, asked);
    try {
      // The gateway may have been told to stop while the session was looked for.
      checkOpen(this.#stopping);
      checkFrom(held.session, asked);
    } catch (error) {
      this.keep(held);
      throw error;
    }
    return held;
  }

  async #take(principal: Principal, asked: Wanted): Promise<Held> {
    // Of two that come at once the second finds what has become of the first.
    const key = keyOf(principal.id, asked.id);
    for (let before; (before = this.#attaching.get(key)) !== undefined;)
      await before.catch(() => undefined);
    const here = this.find(principal, asked.id);
    if (here === undefined) return this.#attach(principal, asked);
    if (asked.epoch < here.epoch)
      throw new CabstandError(
        'EPOCH_FENCED',
        `session ${asked.id} went on under epoch ${here.epoch}, above ${asked.epoch}`,
        { metadata: { session_id: asked.id, epoch: String(here.epoch) } },
      );
    if (here.state.kind === 'busy') {
      if (asked.epoch === here.epoch)
        throw new CabstandError('SESSION_BUSY', `session ${asked.id} is in use by another call`, {
          metadata: { session_id: asked.id },
        });
    } else {
      this.#wake(here);
      here.state = { kind: 'busy' };
      here.epoch = asked.epoch;
      // While a turn that was left is wound up its hoster is ahead: that is nobody else's doing.
      await here.session.settled;
      const gone = await this.goneOn(principal, here.session.whereabouts);
      if (!gone && isBusy(here) && !goesBack(here.session, asked)) return here;
    }
    await this.letGo(here);
    return this.#take(principal, asked);
  }

  /** Its call is over; another one may follow. */
  keep(held: Held): void {
    const { state, session } = held;
    if (state.kind !== 'busy') return;
    // No hoster has it: there is nothing to keep. A turn that is under way there waits for whoever comes next.
    const atHoster = session.state === 'open' || session.state === 'recovering';
    if (!atHoster || session.turnPending) {
      void this.letGo(held);
      return;
    }
    const timer = this.#clock.setTimer(() => void this.letGo(held), this.#limits.idleMs, {
      unref: true,
    });
    held.state = { kind: 'idle', timer };
  }

  /** It goes on at its hoster, for whoever attaches to it next. */
  async letGo(held: Held): Promise<void> {
    if (this.#remove(held)) await held.session.detach();
  }

  /** Ends it at its hoster. */
  async end(held: Held): Promise<void> {
    if (this.#remove(held)) await held.session.close();
  }

  /** Those between turns go on at their hosters, and so do named ones that are still used. */
  async stop(): Promise<void> {
    await Promise.all(
      [...this.#byKey.values()].map((held) => (held.named ? this.letGo(held) : this.end(held))),
    );
  }

  #attach(principal: Principal, asked: Wanted): Promise<Held> {
    const key = keyOf(principal.id, asked.id);
    const attaching = this.#attachAt(principal, asked).finally(() => this.#attaching.delete(key));
    this.#attaching.set(key, attaching);
    return attaching;
  }

  async #attachAt(principal: Principal, asked: Wanted): Promise<Held> {
    this.#checkRoom(principal);
    const { id, epoch } = asked;
    const session = await this.#found(principal, asked);
    const before = this.find(principal, id);
    if (before !== undefined) await this.letGo(before);
    try {
      // Others may have come while it was looked for.
      this.#checkRoom(principal);
    } catch (error) {
      await session.detach();
      throw error;
    }
    return this.#hold(principal, session, true, epoch);
  }

  async #found(principal: Principal, asked: Wanted): Promise<Session> {
    const { id, model, from, fromField = 'position', brought } = asked;
    const caller = this.#callers.of(principal);
    // What a module was told and found out, its caller does not have.
    if (brought !== undefined && from !== undefined && !(await this.#callers.isModule(model))) {
      const session = await rebuilt(caller, { id, model, from, fromField }, brought);
      if (session !== undefined) return session;
    }
    return await caller.manager.attach(id, {
      ...(model === '' ? {} : { model }),
      from: from ?? 'oldest',
    });
  }

  #checkRoom({ id }: Pick<Principal, 'id'>): void {
    const { maxSessions, maxPerPrincipal } = this.#limits;
    if (this.#byPrincipal.of(id) >= maxPerPrincipal)
      throw new CabstandError(
        'QUOTA_EXCEEDED',
        `${id} has ${maxPerPrincipal} sessions open at this gateway: close some`,
        { metadata: { limit: String(maxPerPrincipal) }, retryAfterMs: FULL_RETRY_MS },
      );
    if (this.size >= maxSessions)
      throw new CabstandError('HOSTER_FULL', `this gateway has ${maxSessions} sessions open`, {
        metadata: { limit: String(maxSessions) },
        retryAfterMs: FULL_RETRY_MS,
      });
  }

  #hold({ id }: Principal, session: Session, named: boolean, epoch: number): Held {
    const held = new Held(keyOf(id, session.id), id, named, session, epoch);
    this.#byKey.set(held.key, held);
    this.#byPrincipal.add(id);
    this.#observe(session);
    // One without a name has another at each hoster that is tried.
    if (!named) session.once('opened', ({ sessionId }) => this.#rename(held, sessionId));
    return held;
  }

  #rename(held: Held, sessionId: string): void {
    if (this.#byKey.get(held.key) !== held) return;
    this.#byKey.delete(held.key);
    held.key = keyOf(held.principal, sessionId);
    this.#byKey.set(held.key, held);
  }

  #remove(held: Held): boolean {
    if (held.state.kind === 'gone') return false;
    this.#wake(held);
    held.state = { kind: 'gone' };
    if (this.#byKey.get(held.key) === held) this.#byKey.delete(held.key);
    this.#byPrincipal.remove(held.principal);
    return true;
  }

  #wake({ state }: Held): void {
    if (state.kind === 'idle') state.timer.cancel();
  }
}

const keyOf = (principal: string, session: string): string => `${principal} ${session}`;

/** Throws DRAINING where the gateway stops: no turn may begin any more. */
export function checkOpen(stopping: AbortSignal): void {
  if (stopping.aborted)
    throw new CabstandError('DRAINING', 'this gateway is stopping: another one goes on');
}

export function exists(id: string): CabstandError {
  return new CabstandError('SESSION_EXISTS', `session ${id} is open already`, {
    metadata: { session_id: id },
  });
}

/** Whether no turn of a session has begun or ended here between two looks at where it stands. */
export function stoodStill(before: Whereabouts | undefined, now: Whereabouts | undefined): boolean {
  return (
    now?.epoch === before?.epoch && now?.turn === before?.turn && now?.turnRuns === before?.turnRuns
  );
}

/** Its state is changed by others while somebody waits. */
const isBusy = ({ state }: Held): boolean => state.kind === 'busy';

/** What is wanted was read here already, and can be had once more. */
const goesBack = ({ position }: Session, { from = position, brought }: Wanted): boolean =>
  brought !== undefined && from < position;

/** Throws POSITION_INVALID where the session cannot go on from there. */
function checkFrom(session: Session, { from, fromField = 'position' }: Wanted): void {
  if (from === undefined) return;
  const { position, produced } = session;
  if (from >= position && from <= produced) return;
  const expected = produced > position ? `${position} to ${produced}` : String(position);
  throw invalid('POSITION_INVALID', fromField, from, expected);
}
