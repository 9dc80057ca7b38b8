import { STOP } from '../protocol/types';
import type { Command, SessionUpdate } from '../protocol/types';
import type { ActiveTurn } from './active-turn';
import type { Recovery } from './recovery';
import type { CoreContext, Standing } from './standing';
import { tellBeside, tellOnChannel } from './telling';

/** Tells the hoster of a turn commands: on the turn's stream, or beside it. */
export class CommandTeller {
  readonly #context: CoreContext;
  readonly #standing: Standing;
  readonly #recovery: Pick<Recovery, 'underWay'>;
  /** Those beside the stream go one after another. */
  #told: Promise<unknown> = Promise.resolve();

  constructor(context: CoreContext, standing: Standing, recovery: Pick<Recovery, 'underWay'>) {
    this.#context = context;
    this.#standing = standing;
    this.#recovery = recovery;
  }

  /** Answers whether any hoster was told. Rejects with what it says. */
  async tell(turn: ActiveTurn, command: Command): Promise<boolean> {
    const update: SessionUpdate = { kind: 'command', ...command, turn: turn.turn };
    if (tellOnChannel(turn, update)) return true;
    // It overtakes those whose handlers take their time.
    if (command.name === STOP && !this.#recovery.underWay)
      return await tellBeside(this.#context, this.#standing, turn, update);
    const told = this.#told.then(() =>
      // A hoster that lost the session must not be told of the epoch that the next one is asked with.
      this.#recovery.underWay ? false : tellBeside(this.#context, this.#standing, turn, update),
    );
    this.#told = told.catch(() => undefined);
    return await told;
  }
}
