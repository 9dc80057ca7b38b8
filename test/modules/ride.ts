/** Counts, as a module of a test's subnet: what it is asked for by its prompt may be a misdeed. */
import type { Module, ModuleEnvironment, SessionContext } from '@cabstand/module';
import type { TensorConstructor } from '@cabstand/module';

interface Parameters {
  readonly frames: number;
  /** Milliseconds from one frame to the next; 0: as fast as they are read. */
  readonly pace: number;
  /** Number of the frame before which the prompt is done. */
  readonly at: number;
}

interface State {
  frame: number;
  /** Of all that commands added. */
  sum: number;
}

type Context = SessionContext<State, Parameters>;

/** Of this process. */
let loads = 0;

export default class Ride implements Module<State, Parameters> {
  readonly #Tensor: TensorConstructor;
  passengers = 0;

  constructor(Tensor: TensorConstructor) {
    this.#Tensor = Tensor;
  }

  static load(env: ModuleEnvironment): Ride {
    loads += 1;
    return new Ride(env.Tensor);
  }

  static readonly commands = {
    add: {
      description: 'Adds to the sum.',
      arguments: {
        type: 'object',
        properties: { by: { type: 'integer' } },
        required: ['by'],
        additionalProperties: false,
      },
      handle: ({ state }: Context, { by }: { by: number }) => {
        if (by < 0) throw Object.assign(new Error('more'), { name: 'CommandError', code: 'less' });
        state.sum += by;
        return { sum: state.sum, frame: state.frame };
      },
    },
    fail: {
      handle: () => {
        throw new Error(`cannot open ${__filename}`);
      },
    },
  };

  newState(): State {
    return { frame: 0, sum: 0 };
  }

  async startSession(ctx: Context): Promise<void> {
    const { state, parameters } = ctx;
    if (state.frame === 0)
      await ctx.send('began', await ctx.record('engine', () => ({ pid: process.pid, loads })));
    while (!ctx.shouldStop() && state.frame < parameters.frames) {
      await ctx.checkpoint();
      if (state.frame === parameters.at) await this.#misbehave(ctx);
      if (parameters.pace > 0) await ctx.idle(parameters.pace);
      const chance = ctx.prompt === 'differ' ? Math.random() : ctx.random();
      const { frame } = state;
      const y = Float32Array.of(frame, state.sum, chance);
      // Before the call: a command that comes inside it holds from the next frame on.
      state.frame += 1;
      await ctx.emit({ y: new this.#Tensor('float32', y, [3]) });
      ctx.notify('level', frame);
      if (frame % 5 === 4) await ctx.send('fives', { frame });
    }
  }

  async #misbehave(ctx: Context): Promise<void> {
    switch (ctx.prompt) {
      case 'throw':
        throw new Error(`cannot open ${__filename}`);
      case 'forget':
        void Promise.reject(new Error(`forgotten at ${__filename}`));
        await ctx.idle();
        return;
      case 'keep':
        this.passengers += 1;
        return;
      case 'block':
        await ctx.send('blocks', null);
        while (!ctx.shouldStop());
        return;
      case 'ignore':
        await ctx.send('blocks', null);
        for (;;);
      case 'hang':
        await ctx.record('nothing', () => {
          for (;;);
        });
    }
  }
}
