import { BoundedMap, CabstandError, invalid } from '@cabstand/core';
import type { ServedModel, SessionCommand } from '../engine/engine';
import { checkCommand, checkRoom, withinBytes } from './command-check';
import type { CommandRoom } from './command-room';
import { UNNUMBERED } from './body';
import type { Outcome } from './body';
import { UnnumberedCommands } from './unnumbered';
import type { SessionTraits } from '@cabstand/model';

interface Waiter {
  resolve(outcome: Outcome | undefined): void;
  reject(error: CabstandError): void;
}

export interface CommandsInit {
  readonly model: Pick<ServedModel, 'name' | 'commands'>;
  readonly facts: Pick<SessionTraits, 'commandsWaiting' | 'commandBytes'>;
  /** Those below were applied elsewhere. */
  readonly applied: number;
  readonly room: CommandRoom;
  /** One waits for the engine. */
  readonly onNew: () => void;
}

/**
 * Libraries have so many under way, whatever a module wants. Behind them come the acknowledgements that make room
 * for their results.
 */
const MOST_OF_CONSUMER = 64;

/**
 * The commands of one session by their numbers: each is applied once, however often it comes. One is kept
 * until the record that says that it was applied is in the journal, for the next engine where one dies.
 */
export class Commands {
  readonly #init: CommandsInit;
  readonly #most: number;
  readonly #room: CommandRoom;
  /** Not applied, as far as the journal knows; in order, without gaps. */
  #kept: SessionCommand[] = [];
  /** Applied according to the journal: those below. */
  #applied: number;
  /** The engine that runs has those below. */
  #sent: number;
  /** Of those kept, how many it has carried out, whose records come with its next checkpoint. */
  #held = 0;
  /** The newest of those that were applied; older ones are taken for what they say they are. */
  readonly #before: BoundedMap<number, SessionCommand>;
  readonly #outcomes: BoundedMap<number, Outcome>;
  readonly #waiters = new Map<number, Waiter[]>();
  readonly #unnumbered: UnnumberedCommands;
  #over: CabstandError | undefined;
  /** Nothing is applied any more. */
  #settled: CabstandError | undefined;

  constructor(init: CommandsInit) {
    const { commandsWaiting: most } = init.facts;
    this.#init = init;
    this.#most = most;
    this.#room = init.room;
    this.#applied = this.#sent = init.applied;
    this.#before = new BoundedMap(most);
    this.#outcomes = new BoundedMap(most);
    this.#unnumbered = new UnnumberedCommands(most, init.room);
  }

  /** Applied according to the journal: those below. */
  get applied(): number {
    return this.#applied;
  }

  /** The number that is expected. */
  get next(): number {
    return this.#applied + this.#kept.length;
  }

  get hasRoom(): boolean {
    return this.#waiting < this.#most;
  }

  /** Those that were not carried out. */
  get #waiting(): number {
    return this.#kept.length - this.#held;
  }

  /** Whether the next one waits until its reader has, or acknowledges, results of earlier ones. */
  get waitsForReader(): boolean {
    const next = this.#kept[this.#sent - this.#applied] ?? this.#unnumbered.unsent;
    return next !== undefined && this.#room.waitsForReader(next);
  }

  /**
   * Takes a command of the consumer; one that came before is left alone. Its name and arguments are judged by the
   * module, whose records say what came of it; of one that is too large it sees that it is. Throws INVALID_ARGUMENT
   * for a gap, COMMAND_CONFLICT where another one came under its number, RATE_LIMITED where too many wait, and
   * SESSION_ENDED.
   */
  take(sent: SessionCommand): void {
    if (this.#over !== undefined) throw this.#over;
    const { facts, onNew } = this.#init;
    const command = withinBytes(sent, facts.commandBytes);
    if (!this.#expects(command)) return;
    checkRoom(this.#waiting, Math.max(this.#most, MOST_OF_CONSUMER));
    this.#kept.push(command);
    onNew();
  }

  /**
   * Takes a command of somebody else, which has no number, and is applied at most once. Throws what `checkCommand`
   * throws, RATE_LIMITED where too many wait, and SESSION_ENDED.
   */
  async tell(name: string, json: string): Promise<Outcome> {
    if (this.#settled !== undefined) throw this.#settled;
    const { model, facts, onNew } = this.#init;
    checkCommand(model, name, json, facts.commandBytes);
    const outcome = this.#unnumbered.add(name, json);
    onNew();
    return await outcome;
  }

  #expects({ number, name, arguments: json }: SessionCommand): boolean {
    if (!Number.isSafeInteger(number) || number < 0)
      throw invalid('INVALID_ARGUMENT', 'command.sequence', number, 'a whole number of at least 0');
    if (number > this.next)
      throw invalid(
        'INVALID_ARGUMENT',
        'command.sequence',
        number,
        `${this.next}: commands have no gaps`,
      );
    if (number === this.next) return true;
    const before = this.#before.get(number) ?? this.#kept[number - this.#applied];
    if (before !== undefined && (before.name !== name || before.arguments !== json))
      throw new CabstandError(
        'COMMAND_CONFLICT',
        `command ${number} was sent before with other content`,
        { metadata: { field: 'command.sequence', value: String(number), command: before.name } },
      );
    return false;
  }

  /**
   * Gives `send` those that the engine lacks, as far as there is room for what comes of them; it throws where it
   * cannot take one now.
   */
  pump(send: (command: SessionCommand) => void): void {
    for (;;) {
      const atEngine = this.#sent - this.#applied;
      const command = this.#kept[atEngine];
      if (command === undefined || atEngine - this.#held >= this.#most) break;
      if (!this.#room.fits(command)) break;
      send(command);
      this.#sent++;
      this.#room.take(command);
    }
    this.#unnumbered.pump(send);
  }

  /** A new engine runs: it has those that were applied, by its snapshot or by what it is told of. */
  rewind(): void {
    this.#sent = this.#applied;
    this.#held = 0;
    this.#room.rewind();
    this.#unnumbered.rewind();
  }

  /** It was carried out, and its records come with the engine's next checkpoint. See `SequenceSink.held`. */
  held(number: number, bytes: number): void {
    const command = number === UNNUMBERED ? this.#unnumbered.held() : this.#kept[this.#held];
    if (command?.number !== number) return;
    if (number !== UNNUMBERED) this.#held++;
    this.#room.held(command, bytes);
  }

  /** The record of its effect is in the journal. */
  tookEffect(command: SessionCommand): void {
    this.#room.applied(command);
    if (command.number === UNNUMBERED) this.#unnumbered.applied();
    if (command.number !== this.#applied) return;
    this.#kept.shift();
    this.#applied++;
    this.#held = Math.max(0, this.#held - 1);
    this.#sent = Math.max(this.#sent, this.#applied);
    this.#before.set(command.number, command);
  }

  /** The record of its result is in the journal. */
  ended(number: number, outcome: Outcome): void {
    this.#room.ended();
    if (number === UNNUMBERED) {
      this.#unnumbered.ended(outcome);
      return;
    }
    this.#outcomes.set(number, outcome);
    for (const waiter of this.#waiters.get(number) ?? []) waiter.resolve(outcome);
    this.#waiters.delete(number);
  }

  /** How a command ended; undefined where that is forgotten. Rejects where the session ends before. */
  outcome(number: number): Promise<Outcome | undefined> {
    const known = this.#outcomes.get(number);
    const newest = this.#applied - this.#most;
    if (known !== undefined || number < newest) return Promise.resolve(known);
    if (this.#settled !== undefined) return Promise.reject(this.#settled);
    return new Promise((resolve, reject) => {
      this.#waiters.set(number, [...(this.#waiters.get(number) ?? []), { resolve, reject }]);
    });
  }

  /**
   * No more is applied: whoever waits for what comes of a command waits no longer, though the session's consumer has
   * records to read. Its own commands are taken until it has them: one may be on its way while it reads of the end.
   */
  settle(error: CabstandError): void {
    this.#settled ??= error;
    this.#unnumbered.close(error);
    for (const waiters of this.#waiters.values())
      for (const waiter of waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  /** Nothing is taken either. */
  close(error: CabstandError): void {
    this.#over ??= error;
    this.settle(error);
  }
}
