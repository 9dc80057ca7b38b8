import type { CabstandError } from '@cabstand/core';
import type { SessionCommand } from '../engine/engine';
import { UNNUMBERED } from './body';
import type { Outcome } from './body';
import { checkRoom } from './command-check';
import type { CommandRoom } from './command-room';

interface Told {
  readonly command: SessionCommand;
  resolve(outcome: Outcome): void;
  reject(error: CabstandError): void;
}

/**
 * Commands without a number, from others than the consumer: each is applied at most once, and told to the next
 * engine as long as no record says that it took effect. They are carried out one by one, in order.
 */
export class UnnumberedCommands {
  readonly #most: number;
  readonly #room: CommandRoom;
  /** Without a record of their effect. */
  #waiting: Told[] = [];
  /** The engine that runs has so many of those that wait. */
  #sent = 0;
  /** Of those, how many it has carried out, whose records come with its next checkpoint. */
  #held = 0;
  /** The record of its effect is there, that of its result is not. */
  #runs: Told | undefined;

  constructor(most: number, room: CommandRoom) {
    this.#most = most;
    this.#room = room;
  }

  /** Throws RATE_LIMITED where too many wait. Its promise rejects with the end of the session. */
  add(name: string, json: string): Promise<Outcome> {
    checkRoom(this.#waiting.length - this.#held, this.#most);
    return new Promise((resolve, reject) => {
      const command = { number: UNNUMBERED, name, arguments: json };
      this.#waiting.push({ command, resolve, reject });
    });
  }

  /** The next one that the engine lacks. */
  get unsent(): SessionCommand | undefined {
    return this.#waiting[this.#sent]?.command;
  }

  /** See `Commands.pump`. */
  pump(send: (command: SessionCommand) => void): void {
    for (const { command } of this.#waiting.slice(this.#sent)) {
      if (!this.#room.fits(command)) return;
      send(command);
      this.#sent++;
      this.#room.take(command);
    }
  }

  /** A new engine runs. */
  rewind(): void {
    this.#sent = 0;
    this.#held = 0;
  }

  /** The oldest that was not carried out is. */
  held(): SessionCommand | undefined {
    const told = this.#waiting[this.#held];
    if (told !== undefined) this.#held++;
    return told?.command;
  }

  /** The record of the effect of the oldest is in the journal. */
  applied(): void {
    this.#runs = this.#waiting.shift();
    this.#sent = Math.max(0, this.#sent - 1);
    this.#held = Math.max(0, this.#held - 1);
  }

  ended(outcome: Outcome): void {
    this.#runs?.resolve(outcome);
    this.#runs = undefined;
  }

  close(error: CabstandError): void {
    this.#runs?.reject(error);
    for (const told of this.#waiting) told.reject(error);
    this.#runs = undefined;
    this.#waiting = [];
  }
}
