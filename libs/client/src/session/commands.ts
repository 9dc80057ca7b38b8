import { CabstandError, abortReason, abortable, invalid, show } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { STOP, UNNUMBERED } from '../protocol/types';
import type { Command } from '../protocol/types';

/** Tells the hoster; false where no hoster can be told now. Rejects if it did not arrive, or was refused. */
export type SendCommand = (command: Command) => Promise<boolean>;

/** Most commands without a result. */
const MOST_WAITING = 64;
/** Bytes of those, where they come from elsewhere. One is always let in. */
const MOST_WAITING_BYTES = 4 * 1024 * 1024;
/** Bytes of the JSON of one command's arguments. */
const MOST_BYTES = 65_536;
/** Bytes of a command's name and arguments that no hoster takes more of: such a message would end its stream. */
const MOST_SENT_BYTES = 2 * 1024 * 1024;
/** How long a command that did not arrive waits until it is sent again, in milliseconds. */
const AGAIN_MS = 250;

interface Waiting extends Omit<Command, 'number'> {
  number: number;
  /** Undefined where another process waits for it, or nobody does any more. */
  settle: ((outcome: { readonly value: unknown } | CabstandError) => void) | undefined;
  /** A hoster was told, and has not been lost since. */
  told: boolean;
  /** Its record has come: it will not be lost any more. */
  applied: boolean;
}

/** Commands as another process needs them to go on. */
export interface KeptCommands {
  /** Number of the next command. */
  readonly next: number;
  /** Those whose record had not come. */
  readonly waiting: readonly Command[];
  /** Numbers from here on are guesses: see `Commands`. Default: `next`. */
  readonly guessedFrom?: number | undefined;
}

/**
 * The commands of a session on their way: numbered from 0, kept until the record has come that tells that they
 * took effect, and told to each hoster that takes the session up and lacks them.
 *
 * Who takes a session over does not know which numbers the process before has used: until a hoster says which one
 * is next, those of its own commands are guesses, and nobody is told.
 */
export class Commands {
  readonly #send: SendCommand;
  readonly #clock: Clock;
  #next: number;
  /** Numbers from here on are guesses; Infinity where none is. */
  #guessedFrom: number;
  /** By number, oldest first. */
  readonly #waiting = new Map<number, Waiting>();
  /** Of the stream that is told now: what was under way to another one says nothing. */
  #stream = 0;
  #bytes = 0;
  #roomWaiters: (() => void)[] = [];
  /** Of `stop`, whoever asked for it; undefined where nobody did. */
  #stop: Promise<unknown> | undefined;

  constructor(send: SendCommand, clock: Clock, kept?: KeptCommands) {
    this.#send = send;
    this.#clock = clock;
    this.#next = kept?.next ?? 0;
    this.#guessedFrom = kept === undefined ? Infinity : (kept.guessedFrom ?? kept.next);
    for (const command of kept?.waiting ?? []) {
      this.#bytes += command.arguments.length;
      this.#waiting.set(command.number, {
        ...command,
        settle: undefined,
        told: false,
        applied: false,
      });
    }
  }

  /** What another process needs. */
  get kept(): KeptCommands {
    const waiting = [...this.#waiting.values()].filter(
      ({ number, applied }) => number !== UNNUMBERED && !applied,
    );
    return {
      next: this.#next,
      waiting: waiting.map((one) => ({
        number: one.number,
        name: one.name,
        arguments: one.arguments,
      })),
      ...(this.#guessedFrom < this.#next ? { guessedFrom: this.#guessedFrom } : {}),
    };
  }

  /**
   * Number of the oldest command without a record, or of the next one: those below took effect, or are lost with
   * whoever sent them.
   */
  get first(): number {
    for (const { number, applied } of this.#waiting.values())
      if (number !== UNNUMBERED && !applied) return number;
    return this.#next;
  }

  /** Whether somebody waits for a result. */
  get awaited(): boolean {
    for (const { settle } of this.#waiting.values()) if (settle !== undefined) return true;
    return false;
  }

  /** Sends a command; see `Session.command`. */
  run(name: string, args: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    let json: string;
    try {
      json = textOf(name, args);
    } catch (error) {
      return Promise.reject(CabstandError.from(error));
    }
    return this.runText(name, json, signal);
  }

  /** The same with arguments as somebody else sent them: the session says what is wrong with them. */
  runText(name: string, json: string, signal: AbortSignal | undefined): Promise<unknown> {
    if (signal?.aborted === true) return Promise.reject(abortReason(signal));
    if (name === STOP) return this.#runStop(json, signal);
    if (this.#waiting.size >= MOST_WAITING)
      return Promise.reject(
        invalid(
          'LIMIT_EXCEEDED',
          'command',
          `${this.#waiting.size} commands without a result`,
          `at most ${MOST_WAITING}: await the results of earlier ones, and read the chunks of the turn`,
        ),
      );
    // It would be refused wherever it is sent, and its number is another one's then.
    const bytes = Buffer.byteLength(name) + Buffer.byteLength(json);
    if (bytes > MOST_SENT_BYTES)
      return Promise.reject(
        invalid('COMMAND_INVALID', 'command', `${bytes} bytes`, `at most ${MOST_SENT_BYTES}`),
      );
    return this.#begin(this.#next++, name, json, signal);
  }

  /** Resolves when there may be room for another one; undefined where there is. */
  room(): Promise<void> | undefined {
    const full = this.#bytes >= MOST_WAITING_BYTES || this.#waiting.size >= MOST_WAITING;
    return full ? new Promise((resolve) => this.#roomWaiters.push(resolve)) : undefined;
  }

  /** However many ask for it, it is sent once. */
  #runStop(json: string, signal: AbortSignal | undefined): Promise<unknown> {
    if (json !== '' && json !== '{}')
      return Promise.reject(invalid('COMMAND_INVALID', 'stop.arguments', json, 'no arguments'));
    if (!this.#waiting.has(UNNUMBERED)) {
      this.#stop = this.#begin(UNNUMBERED, STOP, json, undefined);
      this.#stop.catch(() => undefined);
    }
    return abortable(this.#stop ?? Promise.resolve(), signal);
  }

  #begin(
    number: number,
    name: string,
    json: string,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (signal !== undefined) command.settle?.(CabstandError.from(abortReason(signal)));
      };
      const command: Waiting = {
        ...{ number, name, arguments: json, told: false, applied: false },
        settle: (outcome) => {
          command.settle = undefined;
          signal?.removeEventListener('abort', onAbort);
          if (CabstandError.is(outcome)) reject(outcome);
          else resolve(outcome.value);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.set(number, command);
      this.#bytes += json.length;
      this.#tell();
    });
  }

  /**
   * The session is open at a hoster, which expects the command with the number `next`. It has those below, be they
   * of this process or of one before, and is told the others, which follow without a gap.
   */
  opened(next: number): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    let free = next;
    for (const command of waiting) {
      const { number, applied } = command;
      const there = number < next && number < this.#guessedFrom;
      command.told = applied || (there && number !== UNNUMBERED);
      if (!command.told && number !== UNNUMBERED) command.number = free++;
      // A hoster that has forgotten it is told of no other one under its number.
      else free = Math.max(free, number + 1);
      this.#waiting.set(command.number, command);
    }
    this.#next = free;
    this.#guessedFrom = Infinity;
    this.#stream++;
    this.#tell();
  }

  /** The next turn goes by the stream of the one before. */
  streamReused(): void {
    this.#stream++;
    for (const command of this.#waiting.values()) command.told = command.applied;
    this.#tell();
  }

  /** The record of a command has come. One of another process counts here, too. */
  applied(number: number): void {
    this.#next = Math.max(this.#next, number + 1);
    const command = this.#waiting.get(number);
    if (command === undefined) return;
    command.told = command.applied = true;
    // Nobody waits for its result.
    if (command.settle === undefined) this.#forget(number);
  }

  /** The result of a command has come; an error for one that failed or was refused. */
  ended(number: number, outcome: { readonly value: unknown } | CabstandError): void {
    this.applied(number);
    const command = this.#waiting.get(number);
    this.#forget(number);
    command?.settle?.(outcome);
  }

  #forget(number: number): void {
    this.#bytes -= this.#waiting.get(number)?.arguments.length ?? 0;
    this.#waiting.delete(number);
    for (const wake of this.#roomWaiters.splice(0)) wake();
  }

  /** No result will come any more. */
  over(why: string, cause?: CabstandError): void {
    this.refuse(
      ({ number, name }) =>
        new CabstandError('SESSION_ENDED', `command ${name} (number ${number}): ${why}`, {
          metadata: { command: name, number: String(number) },
          ...(cause === undefined ? {} : { cause }),
        }),
    );
  }

  /** Another turn follows, in which those that wait are told once more. A stop is not for that one. */
  turnOver(): void {
    const stop = this.#waiting.get(UNNUMBERED);
    if (stop === undefined) return;
    this.#forget(UNNUMBERED);
    stop.settle?.(
      new CabstandError('SESSION_ENDED', `command ${STOP}: the turn ended before its result`),
    );
  }

  /** None of them will take effect. @param but except for this one */
  refuse(errorOf: (command: Command) => CabstandError, but?: string): void {
    for (const command of [...this.#waiting.values()]) {
      if (command.name === but) continue;
      this.#forget(command.number);
      command.settle?.(errorOf(command));
    }
  }

  #tell(): void {
    for (const command of this.#waiting.values()) {
      if (command.told) continue;
      command.told = true;
      const stream = this.#stream;
      const { number, name } = command;
      this.#send({ number, name, arguments: command.arguments }).then(
        // It is told once a stream has the session.
        (told) => {
          if (!told && stream === this.#stream) command.told = false;
        },
        (thrown: unknown) => this.#refused(command, CabstandError.from(thrown), stream),
      );
    }
  }

  /** Those behind it move up. One that is told under its old number meanwhile is a gap, and told again. */
  #withdraw(number: number): void {
    this.#forget(number);
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const command of waiting) {
      if (command.number > number) command.number--;
      this.#waiting.set(command.number, command);
    }
    this.#next--;
  }

  #refused(command: Waiting, error: CabstandError, stream: number): void {
    if (this.#waiting.get(command.number) !== command || command.applied) return;
    if (error.reason.startsWith('COMMAND_') || (isFinal(error) && stream === this.#stream)) {
      // The hoster did not take it, and waits for another one under its number.
      const free = error.reason === 'COMMAND_INVALID' || isFinal(error);
      if (free && command.number !== UNNUMBERED) this.#withdraw(command.number);
      else this.#forget(command.number);
      command.settle?.(error);
      return;
    }
    if (stream !== this.#stream) return;
    this.#clock.setTimer(
      () => {
        if (stream !== this.#stream || command.applied) return;
        command.told = false;
        this.#tell();
      },
      AGAIN_MS,
      { unref: true },
    );
  }
}

/** Whether a command is refused whenever it comes. One that came before others, as a gap, is told again. */
function isFinal({ reason, metadata }: CabstandError): boolean {
  if (reason === 'LIMIT_EXCEEDED' || reason === 'MESSAGE_TOO_LARGE') return true;
  const { field } = metadata;
  return reason === 'INVALID_ARGUMENT' && field !== undefined && field !== 'command.sequence';
}

/** Only modules know others than `stop`. */
export function commandUnknown(model: string, name: string): CabstandError {
  return new CabstandError(
    'COMMAND_UNKNOWN',
    `model ${model} knows no command ${show(name)}: it is no module, and knows ${STOP} alone`,
    { metadata: { command: name.slice(0, 120) } },
  );
}

function textOf(name: string, args: unknown): string {
  if (typeof name !== 'string' || name === '')
    throw invalid('COMMAND_INVALID', 'command.name', name, 'a name that the model declares');
  let json: unknown;
  try {
    json = args === undefined ? '' : JSON.stringify(args);
  } catch (cause) {
    throw new CabstandError('COMMAND_INVALID', `command ${name}: its arguments are no JSON`, {
      cause,
      metadata: { field: 'arguments', expected: 'what JSON.stringify can write' },
    });
  }
  if (typeof json !== 'string')
    throw invalid('COMMAND_INVALID', `${name}.arguments`, args, 'what JSON can say');
  const bytes = Buffer.byteLength(json);
  if (bytes > MOST_BYTES)
    throw invalid(
      'COMMAND_INVALID',
      `${name}.arguments`,
      `${bytes} bytes`,
      `at most ${MOST_BYTES}`,
    );
  return json;
}
