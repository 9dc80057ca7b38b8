/**
 * Draws pictures at a steady rate, steered by commands. An example for authors: docs/modules.md.
 *
 * A module imports types only, so that nothing has to be installed where it runs.
 */
import type { Commands, Module, ModuleClass, ModuleEnvironment } from '@cabstand/module';
import type { SessionContext, TensorConstructor } from '@cabstand/module';
import { draw, sceneOf } from './draw';

/** What model.yaml declares. */
interface Parameters {
  readonly fps: number;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
}

/** All that a session needs to go on: plain data, which checkpoints hold. */
interface State {
  frame: number;
  /** Undefined until a command sets one: then the session's own prompt holds. */
  prompt: string | undefined;
  seed: number;
  paused: boolean;
}

type Context = SessionContext<State, Parameters>;

class Plasma implements Module<State, Parameters> {
  readonly #Tensor: TensorConstructor;

  constructor(Tensor: TensorConstructor) {
    this.#Tensor = Tensor;
  }

  /** Once for all sessions: weights would be read here. */
  static load(env: ModuleEnvironment): Plasma {
    return new Plasma(env.Tensor);
  }

  /** Handlers run inside the loop's calls of `ctx`, never beside the loop: they may change the state. */
  static readonly commands = {
    set_prompt: {
      description:
        'Chooses colours (fire, ocean, forest, neon, grey) and a pattern (waves, rings, spiral).',
      arguments: {
        type: 'object',
        properties: {
          prompt: { type: 'string', maxLength: 200, examples: ['ocean waves', 'neon spiral'] },
        },
        required: ['prompt'],
        additionalProperties: false,
      },
      handle: ({ state }, { prompt }: { prompt: string }) => {
        state.prompt = prompt;
        return { from_frame: state.frame };
      },
    },
    pause: {
      description: 'Stops and goes on.',
      arguments: {
        type: 'object',
        properties: { paused: { type: 'boolean', examples: [false, true] } },
        required: ['paused'],
        additionalProperties: false,
      },
      handle: ({ state }, { paused }: { paused: boolean }) => {
        state.paused = paused;
        return { frame: state.frame };
      },
    },
    seed: {
      description: 'Begins anew with other waves.',
      arguments: {
        type: 'object',
        properties: {
          seed: { type: 'integer', minimum: 0, maximum: 4294967295, examples: [7] },
        },
        required: ['seed'],
        additionalProperties: false,
      },
      handle: ({ state }, { seed }: { seed: number }) => {
        state.seed = seed;
        state.frame = 0;
        return { from_frame: 0 };
      },
    },
  } satisfies Commands<State, Parameters>;

  newState({ seed }: Parameters): State {
    return { frame: 0, prompt: undefined, seed, paused: false };
  }

  async startSession(ctx: Context): Promise<void> {
    const { fps, width, height } = ctx.parameters;
    const pixels = new Uint8Array(width * height * 3);
    const period = 1000 / fps;
    // The clock decides how long to wait and nothing else: a replay, which does not wait, draws the same.
    let due = performance.now();
    while (!ctx.shouldStop()) {
      // From here `ctx.state` says how to go on.
      await ctx.checkpoint();
      if (!ctx.state.paused) {
        const { frame, seed, prompt = ctx.prompt } = ctx.state;
        draw(pixels, width, height, frame / 20, sceneOf(prompt, seed));
        // Before the call: a command that comes inside it may set the frame.
        ctx.state.frame += 1;
        await ctx.emit(
          { image: new this.#Tensor('uint8', pixels, [height, width, 3]) },
          // Each picture is whole: whoever comes later may begin with any.
          { key: true },
        );
      }
      // Whoever was held up does not hurry afterwards.
      due = Math.max(due + period, performance.now());
      await ctx.idle(Math.max(0, due - performance.now()));
    }
  }
}

export default Plasma satisfies ModuleClass<State, Parameters>;
