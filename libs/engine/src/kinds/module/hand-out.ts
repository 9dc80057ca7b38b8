/** The commands of one session: handed out within its author's calls, one by one, and answered by records. */
import { RecordField } from '../../frames/module-frames';
import { appliedBody, resultBody } from './bodies';
import type { Commands } from './commands';
import { concurrent, stackOf, thrownIn } from './failure';
import { CommandInbox } from './inbox';
import type { CommandCall } from './inbox';
import type { NewRecord, Records } from './records';
import type { ReplayLog } from './replay';
import { scopeOf } from './scope';
import type { Scope } from './scope';

/** What handing out needs of a session. */
interface Session {
  readonly point: number;
  readonly stopped: unknown;
  readonly records: Records;
  readonly host: { readonly commands: Commands; flush(): void };
  contextOf(scope: Scope): unknown;
  check(): void;
  put(...record: NewRecord): void;
  again<T>(look: (log: ReplayLog, point: number) => T): T;
  fail(error: ReturnType<typeof concurrent>): void;
  complain(message: string): void;
}

export class HandOut {
  readonly #session: Session;
  readonly #inbox: CommandInbox;
  #applied = 0;
  /** The call in which the last command was handed out. */
  #at = -1;

  /** @param next number of the first one that was not applied yet @param most that may wait */
  constructor(session: Session, next: number, most: number) {
    this.#session = session;
    this.#inbox = new CommandInbox(next, most);
  }

  /** Number of the next one to apply. */
  get next(): number {
    return this.#inbox.next;
  }

  /** Carried out in this life. */
  get applied(): number {
    return this.#applied;
  }

  get due(): boolean {
    return !this.#inbox.empty;
  }

  /** Throws what `CommandInbox.add` throws. */
  add(call: CommandCall): void {
    this.#inbox.add(call);
  }

  /** See `CommandInbox.forget`. */
  forget(): void {
    this.#inbox.forget();
  }

  /** Carries out those that are due at this call. */
  async all(): Promise<void> {
    const session = this.#session;
    const { records } = session;
    for (;;) {
      session.check();
      // Those that wait behind a stop fail with the session: its grace is for what runs.
      if (session.stopped !== undefined) return;
      const call = records.replaying
        ? session.again((log, point) => log.command(point))
        : this.#inbox.due();
      if (call === undefined) return;
      // Whoever calls sends as many as he likes: the author gets to his checkpoint before they are too many.
      if (records.crowded && this.#at === session.point) return;
      this.#at = session.point;
      await this.#carryOut(call);
    }
  }

  async #carryOut(call: CommandCall): Promise<void> {
    const session = this.#session;
    const { host, records } = session;
    const { number, name, arguments: args } = call;
    this.#inbox.began(call);
    const begun = appliedBody(number, name, args);
    session.put(RecordField.applied, (out) => out.bytes(begun));
    host.flush();
    const scope = scopeOf('handler');
    const outcome = await host.commands.run(call, session.contextOf(scope), {
      own: (thrown) => thrownIn(session, thrown),
      failed: (thrown) => session.complain(`command ${name}: ${stackOf(thrown)}`),
    });
    scope.open = false;
    if (scope.busy) session.fail(concurrent(`command ${name}: `));
    session.check();
    const result = resultBody(number, outcome);
    session.put(RecordField.result, (out) => out.bytes(result));
    records.heldBack(number, begun.length + result.length);
    this.#applied += 1;
    host.flush();
  }
}
