/** Adds up what comes, part by part, as a module of a test's subnet; with the prompt `hoard` without a checkpoint. */
import type { Module, ModuleEnvironment, SessionContext } from '@cabstand/module';
import type { TensorConstructor } from '@cabstand/module';

interface State {
  sum: number;
}

export default class Listener implements Module<State> {
  readonly #Tensor: TensorConstructor;

  constructor(Tensor: TensorConstructor) {
    this.#Tensor = Tensor;
  }

  static load(env: ModuleEnvironment): Listener {
    return new Listener(env.Tensor);
  }

  newState(): State {
    return { sum: 0 };
  }

  async startSession(ctx: SessionContext<State>): Promise<void> {
    while (!ctx.shouldStop()) {
      if (ctx.prompt !== 'hoard') await ctx.checkpoint();
      const part = await ctx.input();
      if (part === undefined) break;
      for (const sample of part.samples?.data ?? []) ctx.state.sum += Number(sample);
      await ctx.emit({ y: new this.#Tensor('float32', Float32Array.of(ctx.state.sum), [1]) });
    }
  }
}
