/** Takes turn after turn, as a module of a test's subnet: each counts frames, and all of them one sum. */
import type { Module, ModuleEnvironment, SessionContext } from '@cabstand/module';
import type { TensorConstructor } from '@cabstand/module';

interface Parameters {
  readonly frames: number;
  /** Milliseconds from one frame to the next. */
  readonly pace: number;
}

interface State {
  /** Of the turn that runs. */
  frame: number;
  turns: number;
  /** Of all that commands added. */
  sum: number;
}

type Context = SessionContext<State, Parameters>;

export default class Talk implements Module<State, Parameters> {
  readonly #Tensor: TensorConstructor;

  constructor(Tensor: TensorConstructor) {
    this.#Tensor = Tensor;
  }

  static load(env: ModuleEnvironment): Talk {
    return new Talk(env.Tensor);
  }

  static readonly commands = {
    add: {
      handle: ({ state }: Context, { by }: { by: number }) => {
        state.sum += by;
        return { sum: state.sum };
      },
    },
  };

  newState(): State {
    return { frame: 0, turns: 0, sum: 0 };
  }

  async startSession(ctx: Context): Promise<void> {
    do {
      await this.#turn(ctx);
    } while (ctx.prompt !== 'last' && (await ctx.nextTurn()) !== undefined);
  }

  async #turn(ctx: Context): Promise<void> {
    const { state, parameters } = ctx;
    if (ctx.prompt === 'throw') throw new Error('as asked');
    while (!ctx.shouldStop() && state.frame < parameters.frames) {
      await ctx.checkpoint();
      await ctx.idle(parameters.pace);
      const y = Float32Array.of(ctx.turn, state.frame, state.sum, state.turns, ctx.random());
      state.frame += 1;
      await ctx.emit({ y: new this.#Tensor('float32', y, [5]) });
    }
    if (ctx.stopReason === 'cancelled') await ctx.send('cancelled', { turn: ctx.turn });
    state.frame = 0;
    state.turns += 1;
  }

  async endSession(ctx: Context): Promise<void> {
    ctx.log.info(`talked for ${ctx.state.turns} turns`);
  }
}
