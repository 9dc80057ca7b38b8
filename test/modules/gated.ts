/** Emits one frame, calls nothing before the file of its prompt is there, and then answers commands. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Module, ModuleEnvironment, SessionContext } from '@cabstand/module';

interface State {
  began: boolean;
  readonly said: string[];
}

type Context = SessionContext<State>;

export default class Gated implements Module<State> {
  readonly #env: ModuleEnvironment;

  constructor(env: ModuleEnvironment) {
    this.#env = env;
  }

  static load(env: ModuleEnvironment): Gated {
    return new Gated(env);
  }

  static readonly commands = {
    say: {
      handle: ({ state }: Context, { what }: { what: string }) => {
        state.said.push(what);
        return { said: [...state.said] };
      },
    },
  };

  newState(): State {
    return { began: false, said: [] };
  }

  async startSession(ctx: Context): Promise<void> {
    const { state } = ctx;
    if (!state.began) {
      state.began = true;
      const y = Float32Array.of(0);
      await ctx.emit({ y: new this.#env.Tensor('float32', y, [1]) });
    }
    await ctx.checkpoint();
    while (!ctx.shouldStop() && !existsSync(ctx.prompt)) await sleep(10);
    while (!ctx.shouldStop() && state.said.at(-1) !== 'goodbye') {
      await ctx.idle(1000);
      await ctx.checkpoint();
    }
  }
}
