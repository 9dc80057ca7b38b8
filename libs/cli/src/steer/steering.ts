import type { v1 } from '@cabstand/rpc';
import { describeError } from '../errors';
import { commandRows } from '../render/module-info';
import { printable } from '../render/style';
import type { Style } from '../render/style';
import { table } from '../render/table';
import { typedCommand } from './words';

/** What of a session can be steered. */
export interface Steered {
  command(name: string, args: unknown): Promise<unknown>;
  /** Asks for the end of the turn, which then comes in order. */
  cancelTurn(): Promise<void>;
}

/** Acts upon lines that a person types while a session runs. What comes of them is said in lines. */
export class Steering {
  readonly #session: Steered;
  readonly #model: v1.ModelInfo__Output;
  readonly #style: Style;
  readonly #say: (text: string) => void;
  #stopping = false;

  constructor(
    session: Steered,
    model: v1.ModelInfo__Output,
    style: Style,
    say: (text: string) => void,
  ) {
    this.#session = session;
    this.#model = model;
    this.#style = style;
    this.#say = say;
  }

  /** Never throws: what is wrong is said. Resolves when the answer has come. */
  async line(line: string): Promise<void> {
    const word = line.trim();
    if (word === '') return;
    // A module may have a command of the same name: its own comes first.
    const own = this.#model.commands.some(({ name }) => name === word);
    if (!own && word === 'help') this.#say(this.help());
    else await this.#send(line);
  }

  /** Ends the turn in order. Answers false where that was asked for before. */
  stop(): boolean {
    if (this.#stopping) return false;
    this.#stopping = true;
    this.#session.cancelTurn().catch((error: unknown) => this.#fail(error));
    return true;
  }

  /** The commands with their arguments. */
  help(): string {
    const rows = [...commandRows(this.#model), ['help', '', 'this list']];
    return table(rows).replace(/^(?=.)/gm, '  ');
  }

  async #send(line: string): Promise<void> {
    try {
      const { name, args } = typedCommand(line);
      const result = await this.#session.command(name, args);
      const value = result === undefined || result === null ? 'done' : JSON.stringify(result);
      this.#say(`${this.#style.green(printable(`${name}: ${value}`))}\n`);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    const text = describeError(error).replace(/^cabstand: /, '');
    this.#say(
      `${text
        .split('\n')
        .map((line) => this.#style.red(printable(line)))
        .join('\n')}\n`,
    );
  }
}
