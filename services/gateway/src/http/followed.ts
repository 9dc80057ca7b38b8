import { CabstandError, abortReason, abortable, systemClock } from '@cabstand/core';
import type { Clock, Principal, Timer } from '@cabstand/core';
import type { RecordEvent, TurnInput, Whereabouts } from '@cabstand/client/protocol';
import type { TraceContext } from '@cabstand/rpc';
import { passNotices } from '../handlers/notices';
import type { Held, HeldSessions } from '../held-sessions';
import type { EventWriter } from './event-writer';
import { eventText, noticesAsEvents, openedEvent, recordEvent } from './events';
import type { HttpEvent } from './events';
import { Replay } from './replay';
import type { ReplayRoom } from './replay-room';
import type { Elements } from './tensors';

/** A turn that begins slowly is told to be open after so long, in milliseconds. */
const OPENED_MS = 1000;

export interface FollowSettings {
  readonly sessions: HeldSessions;
  readonly room: ReplayRoom;
  /** How long a turn waits here for its reader to come again, before it goes on waiting at its hoster. */
  readonly lingerMs: number;
  /** How long what was sent is kept without a reader. */
  readonly idleMs: number;
  readonly clock?: Clock;
}

/**
 * What becomes of a session when its reader goes, or its turn is over.
 * - `call`: it ends.
 * - `kept`: a turn that is left is cancelled; the session waits for the next one.
 * - `durable`: a turn that is left waits for its reader.
 */
export type Retention = 'call' | 'kept' | 'durable';

/** How a turn is begun. */
export interface TurnGiven {
  /** Undefined for the rest of a turn that is under way. */
  readonly input: TurnInput | undefined;
  readonly elements: Elements;
  /** What it is part of. */
  readonly trace?: TraceContext | undefined;
}

/** What its caller began a turn with, to know it again when the call is repeated. */
export interface TurnBegun {
  readonly turn: number;
  /** Of its input. */
  readonly digest: string;
  /** The position of its first record. */
  readonly position: number;
}

interface Running {
  readonly kind: 'running';
  readonly held: Held;
  readonly run: AsyncIterator<RecordEvent>;
  readonly cancel: AbortController;
  /** The record of its end has come. */
  told: boolean;
  readonly notices: Disposable;
}

/** `away`: this gateway let go of the session; its hoster has the rest of the turn. */
type TurnState = Running | { readonly kind: 'away' } | { readonly kind: 'none' };

interface Reader {
  readonly out: Pick<EventWriter, 'push' | 'write'>;
  readonly superseded: AbortController;
}

/**
 * One session as server-sent events, for one reader at a time. The reader pulls: a record is asked for when all
 * before it are written, so what is computed waits for who reads. What was sent is kept for a while, as nobody
 * confirms it: a reader that comes again goes on behind the last record that it has.
 */
export class Followed {
  readonly retention: Retention;
  readonly #settings: FollowSettings;
  readonly #principal: Principal;
  readonly #id: string;
  readonly #clock: Clock;
  readonly #dropped: () => void;
  readonly #replay: Replay;
  #turn: TurnState = { kind: 'none' };
  #reader: Reader | undefined;
  #pulling: Promise<void> | undefined;
  #failure: CabstandError | undefined;
  #opened = false;
  /** As the newest turn's caller wants tensors, wherever its rest comes from. */
  #elements: Elements = 'list';
  /** That it is open is told with the first word about the turn: what is refused before has a status of its own. */
  #opening: { readonly event: HttpEvent; readonly timer: Timer } | undefined;
  #forgotten = false;
  #timer: Timer | undefined;
  #newest: TurnBegun | undefined;
  /** Where the session stood when this gateway had it last; undefined while it has it. */
  #was: Whereabouts | undefined;

  /**
   * @param position of the first record that is to come
   * @param dropped nothing is kept any more
   */
  constructor(
    settings: FollowSettings,
    session: { readonly principal: Principal; readonly id: string; readonly retention: Retention },
    position: number,
    dropped: () => void,
  ) {
    this.#settings = settings;
    this.#principal = session.principal;
    this.#id = session.id;
    this.retention = session.retention;
    this.#clock = settings.clock ?? systemClock;
    this.#dropped = dropped;
    this.#replay = new Replay(settings.room, session.principal.id, position);
  }

  get turnRuns(): boolean {
    return this.#turn.kind !== 'none';
  }

  /** This gateway has the turn that runs. */
  get isHere(): boolean {
    return this.#turn.kind === 'running';
  }

  /** The newest turn that was begun here. */
  get newest(): TurnBegun | undefined {
    return this.#newest;
  }

  /** Where the session stands as far as it is known here; undefined before any hoster had it. */
  get whereabouts(): Whereabouts | undefined {
    return this.#turn.kind === 'running' ? this.#turn.held.session.whereabouts : this.#was;
  }

  get hasReader(): boolean {
    return this.#reader !== undefined;
  }

  /** The position of the next record. */
  get next(): number {
    return this.#replay.next;
  }

  /**
   * Begins a turn; nothing is sent before a reader comes.
   *
   * @param input undefined for the rest of a turn that runs at its hoster
   * @param digest of the input
   */
  begin(held: Held, { input, elements, trace }: TurnGiven, digest = ''): void {
    const { session } = held;
    const { position, turn } = session;
    if (position > this.next) this.#replay.startAt(position);
    if (input !== undefined) this.#newest = { turn, digest, position };
    this.#was = undefined;
    const cancel = new AbortController();
    this.#elements = elements;
    this.#failure = undefined;
    this.#turn = {
      ...{ kind: 'running', held, cancel, told: false },
      run: session.records(input, { signal: cancel.signal, trace }),
      notices: this.#listen(held),
    };
  }

  /**
   * Writes records from a position on until no turn runs any more. Throws POSITION_INVALID where they are kept no
   * longer, what the turn failed with unless the last record told it, and the reason of the signal.
   *
   * @param from default: the oldest that is kept
   */
  async follow(out: Reader['out'], from: number | undefined, signal: AbortSignal): Promise<void> {
    const reader: Reader = { out, superseded: new AbortController() };
    this.#reader?.superseded.abort(superseded(this.#id));
    this.#reader = reader;
    this.#replay.isRead = true;
    this.#timer?.cancel();
    const either = AbortSignal.any([signal, reader.superseded.signal]);
    try {
      for (let at = from ?? this.#replay.first; ;) {
        if (either.aborted) throw abortReason(either);
        const text = this.#replay.at(at);
        if (text !== undefined) {
          await out.write(text, either);
          at++;
        } else if (this.#failure !== undefined) throw this.#failure;
        else if (this.#turn.kind === 'none') return;
        else await abortable(this.#pull(), either);
      }
    } finally {
      if (this.#reader === reader) {
        this.#reader = undefined;
        this.#replay.isRead = false;
        this.#left();
      }
    }
  }

  /** No reader is to come any more: forgets what was sent, once the one that is there has it. */
  drop(): void {
    this.#timer?.cancel();
    this.#forgotten = true;
    this.#dropped();
    if (this.#reader === undefined) this.#replay.startAt(this.#replay.next);
  }

  /** The session has gone on without this gateway: what is known of it here is old, and so is its reader. */
  abandon(): void {
    this.#reader?.superseded.abort(superseded(this.#id));
    const turn = this.#turn;
    if (turn.kind === 'running') {
      turn.notices[Symbol.dispose]();
      void this.#settings.sessions.letGo(turn.held);
    }
    this.#turn = { kind: 'none' };
    this.drop();
  }

  /** Never rejects: what goes wrong is what the turn failed with. */
  #pull(): Promise<void> {
    const turn = this.#turn;
    this.#pulling ??= (turn.kind === 'running' ? this.#advance(turn) : this.#rejoin()).finally(
      () => {
        this.#pulling = undefined;
      },
    );
    return this.#pulling;
  }

  async #advance(turn: Running): Promise<void> {
    try {
      for (;;) {
        const step = await turn.run.next();
        if (step.done === true) break;
        const record = step.value;
        this.#tellOpened();
        this.#replay.push(record.position, this.#textOf(turn.held, record));
        if (record.body !== 'end') return;
        // The turn is over once it is asked for more.
        turn.told = true;
      }
      this.#over(turn, undefined);
    } catch (thrown) {
      this.#over(turn, turn.told ? undefined : CabstandError.from(thrown));
    }
  }

  #textOf({ session }: Held, record: RecordEvent): string {
    const model = this.retention === 'durable' ? session.model : undefined;
    return eventText(recordEvent(record, this.#elements, model));
  }

  /** Takes the session up again where it is, for the rest of its turn. */
  async #rejoin(): Promise<void> {
    const { sessions } = this.#settings;
    try {
      const asked = { id: this.#id, epoch: 0, model: '', from: this.next };
      const held = await sessions.take(this.#principal, asked);
      if (held.session.turnPending)
        this.begin(held, { input: undefined, elements: this.#elements });
      else {
        this.#rest(held);
        sessions.keep(held);
      }
      if (this.#reader === undefined) this.#left();
    } catch (thrown) {
      this.#turn = { kind: 'none' };
      this.#failure = CabstandError.from(thrown);
      this.drop();
    }
  }

  #over(turn: Running, error: CabstandError | undefined): void {
    turn.notices[Symbol.dispose]();
    this.#opening?.timer.cancel();
    this.#opening = undefined;
    if (this.#turn !== turn) return;
    const { sessions } = this.#settings;
    this.#rest(turn.held);
    this.#failure = error;
    if (this.retention === 'call') void sessions.end(turn.held);
    else sessions.keep(turn.held);
    if (this.retention === 'call' || error !== undefined) this.drop();
    else if (this.#reader === undefined) this.#left();
  }

  /** No turn runs any more. */
  #rest({ session }: Held): void {
    this.#turn = { kind: 'none' };
    const was = session.whereabouts;
    this.#was = was;
    if (was?.turnRuns !== true) return;
    // It was left: once it is wound up, it is known where the session stands.
    void session.settled.then(() => {
      const now = session.whereabouts;
      if (this.#was === was && now) this.#was = { ...now, turnRuns: session.turnPending };
    });
  }

  /** Nobody reads. */
  #left(): void {
    this.#timer?.cancel();
    const turn = this.#turn;
    const { lingerMs } = this.#settings;
    if (this.#forgotten) this.#replay.startAt(this.#replay.next);
    if (turn.kind !== 'running') {
      if (!this.#forgotten) this.#dropLater();
      return;
    }
    switch (this.retention) {
      case 'durable':
        this.#timer = this.#clock.setTimer(() => this.#letGo(turn), lingerMs, { unref: true });
        return;
      case 'kept':
      case 'call':
        // One that opens just now is told, too: only then is it closed.
        turn.cancel.abort(new CabstandError('CANCELLED', 'the reader has gone'));
        void this.#pull();
    }
  }

  #letGo(turn: Running): void {
    turn.notices[Symbol.dispose]();
    this.#turn = { kind: 'away' };
    this.#was = turn.held.session.whereabouts;
    void this.#settings.sessions.letGo(turn.held);
    this.#dropLater();
  }

  #dropLater(): void {
    const { idleMs } = this.#settings;
    this.#timer = this.#clock.setTimer(() => this.drop(), idleMs, { unref: true });
  }

  /** Passes on what a session tells besides its records, to who reads right now. */
  #listen({ session }: Held): Disposable {
    const push = (event: HttpEvent): void => this.#reader?.out.push(eventText(event));
    const others = noticesAsEvents(push);
    return passNotices(
      session,
      {
        ...others,
        notice: (notice) => {
          this.#tellOpened();
          others.notice(notice);
        },
        opened: (event) => {
          const timer = this.#clock.setTimer(() => this.#tellOpened(), OPENED_MS, { unref: true });
          this.#opening = { event: openedEvent(event), timer };
          this.#opened = true;
        },
        progress: ({ done, total }) => {
          this.#tellOpened();
          push({ type: 'progress', done, total });
        },
      },
      this.#opened,
    );
  }

  #tellOpened(): void {
    if (this.#opening === undefined) return;
    const { event, timer } = this.#opening;
    timer.cancel();
    this.#opening = undefined;
    this.#reader?.out.push(eventText(event));
  }
}

function superseded(id: string): CabstandError {
  return new CabstandError('EPOCH_FENCED', `another reader of session ${id} has come`, {
    metadata: { session_id: id },
  });
}
