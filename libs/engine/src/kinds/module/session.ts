/** One session in the author's thread: his calls one by one, what came for them, and the end of it all. */
import type { CabstandError } from '@cabstand/core';
import type { DeclaredOutput } from '@cabstand/model';
import type { LogLevel } from '../../frames/module-frames';
import type { StepWriter } from '../../output/step-writer';
import { Account } from './account';
import { booksOf } from './books';
import type { Books } from './books';
import type { Commands } from './commands';
import { SessionOver, concurrent, endsSession, staleHandler } from './failure';
import type { Readers, SessionFlags, Stop } from './flags';
import { HandOut } from './hand-out';
import type { CommandCall } from './inbox';
import type { Part, ThreadData, Turn } from './messages';
import { NoticeLimit } from './notices';
import { SeededRandom } from './random';
import type { NewRecord } from './records';
import { notDeterministic } from './replay';
import type { ReplayLog } from './replay';
import type { Saved } from './saved';
import type { Schema } from './schema';
import { scopeOf } from './scope';
import type { Scope } from './scope';
import { Snapshots } from './snapshots';

/** What a session needs of its thread. */
export interface SessionHost {
  readonly data: Pick<ThreadData, 'survival' | 'replayCheck' | 'limits'>;
  readonly out: StepWriter;
  readonly outputs: ReadonlyMap<string, DeclaredOutput>;
  /** Of the messages that the manifest declares; empty: any may be sent. */
  readonly messages: ReadonlyMap<string, Schema>;
  readonly commands: Commands;
  /** What the author is given for a session, or for one run of a handler. */
  contextOf(session: ModuleSession, scope: Scope): unknown;
  /** As bytes. @throws CabstandError MODULE_FAILED where the author's state cannot be saved */
  save(saved: Saved, within: Turn | undefined): Buffer;
  /** Takes what has come from main; another session's loop may have its turn. */
  breathe(): Promise<void>;
  /** Sends what was written. */
  flush(): void;
  /** The turn's end was written; the next one may come. */
  turnOver(sequence: number): void;
  log(level: LogLevel, message: string, sequence: number): void;
}

/** Code that does not come to its end after an error is left alone after this. */
const UNWIND_MS = 1000;

export class ModuleSession {
  readonly id: number;
  readonly name: string;
  readonly host: SessionHost;
  readonly context: unknown;
  readonly random: SeededRandom;
  readonly snapshots: Snapshots;
  readonly notices: NoticeLimit;
  /** Resolves where the author's code is to be left alone, whatever it does. */
  readonly abandoned: Promise<void>;
  state: unknown;
  readonly #flags: SessionFlags;
  readonly #account: Account;
  readonly #commands: HandOut;
  #stop = new AbortController();
  readonly #loop = scopeOf('loop');
  #abandon: () => void = () => undefined;
  #unwinding: NodeJS.Timeout | undefined;
  /** Number of the author's call, and of the one after it. */
  #point: number;
  #nextPoint: number;
  #turn: Turn;
  #books: Books;
  #between = false;
  #closed = false;
  #over = false;
  #fault: CabstandError | undefined;
  #refusal: Promise<never> | undefined;

  constructor(
    id: number,
    name: string,
    turn: Turn,
    saved: Saved,
    flags: SessionFlags,
    host: SessionHost,
  ) {
    this.id = id;
    this.name = name;
    this.#turn = turn;
    this.host = host;
    this.state = saved.state;
    this.random = new SeededRandom(saved.random);
    this.snapshots = new Snapshots((snapshot) => {
      this.records.snapshot(snapshot);
      host.flush();
    });
    this.notices = new NoticeLimit((message) => host.log('warn', message, id));
    this.#flags = flags;
    this.#books = booksOf(id, turn, saved, host, flags);
    this.#account = new Account(flags);
    this.#commands = new HandOut(this, saved.commands, host.data.limits.commandsWaiting);
    this.#point = saved.point;
    this.#nextPoint = saved.point;
    this.abandoned = new Promise((resolve) => {
      this.#abandon = resolve;
    });
    this.context = host.contextOf(this, this.#loop);
    this.#orFail(() => this.records.begin());
  }

  // What comes from outside.

  /** The next turn, which the author waits for. */
  begin(turn: Turn): void {
    const saved = { records: 0, chain: this.records.chain, parts: 0, inputEnded: !turn.live };
    this.#books = booksOf(this.id, turn, saved, this.host, this.#flags);
    this.#turn = turn;
    this.#between = false;
    this.#stop = new AbortController();
    this.#orFail(() => this.records.begin());
    this.wake();
  }

  /** Flags have changed, or something has come. */
  wake(): void {
    this.#tellStop();
    this.#account.wake();
  }

  /** What is refused ends the session. */
  addPart(part: Part): void {
    this.#orFail(() => this.parts.add(part));
    this.wake();
  }

  addCommand(call: CommandCall): void {
    this.#orFail(() => this.#commands.add(call));
    this.wake();
  }

  wantSnapshot(): void {
    if (this.host.data.survival === 'none') return;
    this.snapshots.want();
    this.wake();
  }

  /** Nobody wants anything of it any more, an end neither. */
  close(): void {
    this.#closed = true;
    this.wake();
  }

  /** Its grace is over. */
  revoke(): void {
    this.#abandon();
    this.wake();
  }

  /** Ends it: with this error, unless a stop came first. */
  fail(error: CabstandError): void {
    if (this.#fault !== undefined || this.#over) return;
    this.#fault = error;
    this.#unwinding = setTimeout(this.#abandon, UNWIND_MS);
    this.wake();
  }

  /** The author's part is over: every further call throws. */
  finish(): void {
    this.#over = true;
    this.#loop.open = false;
    this.#account.ending();
    this.notices.tellLeft();
    clearTimeout(this.#unwinding);
    this.wake();
  }

  /** The author's hooks are over, too. */
  leave(): void {
    this.#account.leave();
  }

  // How it stands.

  /** The turn that runs, or ran last. */
  get turn(): Turn {
    return this.#turn;
  }

  get records(): Books['records'] {
    return this.#books.records;
  }

  get replay(): ReplayLog {
    return this.#books.replay;
  }

  get parts(): Books['parts'] {
    return this.#books.parts;
  }

  /** No turn runs: the author waits for the next one. */
  get between(): boolean {
    return this.#between;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get fault(): CabstandError | undefined {
    return this.#fault;
  }

  /** Why it is to end; for the end itself. */
  get stop(): Stop | undefined {
    return this.#flags.stopped;
  }

  get readers(): Readers {
    return this.#flags.readers;
  }

  /** What the author is told of it. What he does once more he does without: there was no stop then. */
  get stopped(): Stop | undefined {
    return this.records.replaying ? undefined : this.#flags.stopped;
  }

  /** Nothing that the author does counts any more. */
  get lost(): boolean {
    return this.#over || this.#closed || this.#fault !== undefined;
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get point(): number {
    return this.#point;
  }

  /** Commands that this life carried out. */
  get applied(): number {
    return this.#commands.applied;
  }

  get mayEmit(): boolean {
    return this.#flags.mayEmit;
  }

  get commandDue(): boolean {
    return this.#commands.due;
  }

  get saved(): Saved {
    const { count: records, chain } = this.records;
    return {
      records,
      chain,
      point: this.#nextPoint,
      commands: this.#commands.next,
      parts: this.parts.taken,
      inputEnded: this.parts.ended,
      random: this.random.state,
      state: this.state,
    };
  }

  alive(): void {
    this.#account.alive();
  }

  // What calls are made of.

  /** Runs a call, one at a time. `run` begins before this returns. @param point checkpoints have no number */
  call<T>(scope: Scope, name: string, run: () => Promise<T>, point = true): Promise<T> {
    if (scope.nested && !scope.open && !this.lost) return Promise.reject(staleHandler(name));
    if (scope.busy && !this.lost) this.fail(concurrent(name));
    if (scope.busy || !scope.open || this.lost) return (this.#refusal ??= this.#refuse());
    return this.#run(scope, run, point && !scope.nested);
  }

  /** One for all calls: an author who awaits none may make a million. */
  #refuse(): Promise<never> {
    const refusal = Promise.reject(this.#fault ?? new SessionOver(this));
    // Whoever awaits none of his calls did not await this one either.
    refusal.catch(() => undefined);
    return refusal;
  }

  async #run<T>(scope: Scope, run: () => Promise<T>, point: boolean): Promise<T> {
    scope.busy = true;
    scope.calls += 1;
    if (point) this.#point = this.#nextPoint++;
    this.alive();
    try {
      const result = await run();
      this.check();
      return result;
    } finally {
      scope.busy = false;
      if (point) this.snapshots.pass();
      this.alive();
    }
  }

  /** @throws the error that the session ends with, or SessionOver */
  check(): void {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#over || this.#closed) throw new SessionOver(this);
  }

  /** The turn's end was written, but not sent. */
  turnEnded(): void {
    this.#between = true;
    this.#commands.forget();
    this.snapshots.pass();
    // Main has to know before anybody can answer the end with another turn.
    this.host.turnOver(this.id);
    this.host.flush();
  }

  /** Waits for the next turn. @throws SessionOver where none comes */
  async comingTurn(scope: Scope): Promise<Turn> {
    await this.until(scope, () => !this.#between || this.#flags.stopped === 'evicted', false);
    if (this.#between) this.close();
    this.check();
    return this.#turn;
  }

  /** Makes a record of this call. */
  put(...record: NewRecord): void {
    this.check();
    this.snapshots.pass();
    const caughtUp = this.#orFail(() => this.records.put(this.#point, ...record));
    this.check();
    if (caughtUp !== true) return;
    if (!this.replay.empty) this.fail(notDeterministic('it was given less'));
    this.#tellStop();
  }

  /** What an earlier life was given. @throws CabstandError SESSION_LOST where that does not fit */
  again<T>(look: (log: ReplayLog, point: number) => T): T {
    const found = this.#orFail(() => look(this.replay, this.#point));
    this.check();
    return found as T;
  }

  /** Ends the session with this error, which the call throws. */
  mismatch(error: CabstandError): CabstandError {
    this.fail(error);
    return this.#fault ?? error;
  }

  /** Hands out commands until `ready`, and waits for more as long as it is not. */
  async until(scope: Scope, ready: () => boolean, commands = true): Promise<void> {
    for (;;) {
      if (commands) await this.handOut(scope);
      this.check();
      if (ready()) return;
      await this.#account.park(ready);
    }
  }

  /** Takes what has come from main; another session's loop may have its turn. */
  breathe(): Promise<void> {
    return this.#account.waits(() => this.host.breathe());
  }

  /** Carries out the commands that are due at this call. */
  handOut(scope: Scope): Promise<void> {
    return scope.nested ? Promise.resolve() : this.#commands.all();
  }

  /** What a handler is given. */
  contextOf(scope: Scope): unknown {
    return this.host.contextOf(this, scope);
  }

  /** Into the hoster's log, as an error. */
  complain(message: string): void {
    this.host.log('error', message, this.id);
  }

  /** A rule that is broken ends the session, even if the author catches what his call throws. */
  #orFail<T>(run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      if (!endsSession(error)) throw error;
      this.fail(error);
      return undefined;
    }
  }

  /** Whoever waits for the signal hears of the stop once the thread yields. */
  #tellStop(): void {
    const { stopped } = this;
    if (stopped !== undefined && !this.#stop.signal.aborted) this.#stop.abort(stopped);
  }
}
