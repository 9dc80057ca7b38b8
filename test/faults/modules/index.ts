/** A module for fault runs: whatever it does is a link of a chain that its state holds the end of. */
import type { Commands, Module, ModuleClass, ModuleEnvironment } from '@cabstand/module';
import type { SessionContext, TensorConstructor } from '@cabstand/module';
import { START, linked, padOf, refuses } from './link';
import type { Link, Step } from './link';

interface State {
  head: number;
  frames: number;
  parts: number;
  pokes: number;
  lucky: number;
  /** There may be more live input. */
  listening: boolean;
  finishing: boolean;
}

interface Parameters {
  readonly listen: number;
  /** Pause before a frame that is of no live input, in milliseconds. */
  readonly pace: number;
  /** 1: another turn follows. */
  readonly again: number;
}

type Context = SessionContext<State, Parameters>;

const NUMBERED = {
  type: 'object',
  properties: { n: { type: 'integer', minimum: 0 } },
  required: ['n'],
  additionalProperties: false,
};
/** Every so many frames: a message in the same group, and a frame that is left out where the reader is behind. */
const SAID_EVERY = 3;
const LUCKY_EVERY = 4;

class Walk implements Module<State, Parameters> {
  readonly #Tensor: TensorConstructor;
  /** Chance is recorded, or taken as it comes. */
  readonly recorded: boolean;

  constructor({ Tensor, config }: ModuleEnvironment) {
    this.#Tensor = Tensor;
    this.recorded = config['recorded'] === true;
  }

  static load(env: ModuleEnvironment): Walk {
    return new Walk(env);
  }

  static readonly commands = {
    poke: { arguments: NUMBERED, handle: (ctx, { n }: { n: number }) => poke(ctx, n) },
    finish: {
      arguments: NUMBERED,
      handle: (ctx, { n }: { n: number }) => {
        ctx.state.finishing = true;
        return poke(ctx, n);
      },
    },
  } satisfies Commands<State, Parameters>;

  newState({ listen }: Parameters): State {
    return {
      ...{ head: START, frames: 0, parts: 0, pokes: 0, lucky: 0 },
      listening: listen !== 0,
      finishing: false,
    };
  }

  async startSession(ctx: Context): Promise<void> {
    for (;;) {
      await this.#turn(ctx);
      if (ctx.parameters.again === 0) break;
      await say(ctx, 'turned');
      ctx.state.finishing = false;
      if ((await ctx.nextTurn()) === undefined) return;
    }
    await say(ctx, 'done');
  }

  async #turn(ctx: Context): Promise<void> {
    const { state } = ctx;
    while (!ctx.shouldStop()) {
      await ctx.checkpoint();
      if (state.finishing && !state.listening) break;
      let part = -1;
      if (state.listening) {
        const given = await ctx.input();
        if (given === undefined) {
          state.listening = false;
          continue;
        }
        part = Number(given['numbers']?.data[0]);
      } else await ctx.idle(ctx.parameters.pace);
      await this.#frame(ctx, part);
      if (state.frames % SAID_EVERY === 0) await say(ctx, 'said');
      if (state.frames % LUCKY_EVERY === 0) await this.#lucky(ctx);
    }
  }

  async #frame(ctx: Context, part: number): Promise<void> {
    const { state } = ctx;
    const chance = await this.#chance(ctx);
    const { frames, parts, pokes, lucky } = state;
    const seed = Number(ctx.inputs['numbers']?.data[0] ?? -1);
    const counts = { frames, parts, pokes, lucky };
    const link = advance(state, { kind: 'frame', ...counts, seed, part, chance });
    state.frames += 1;
    if (part >= 0) state.parts += 1;
    await ctx.emit({ pad: this.#pad(link.after) }, { text: JSON.stringify(link), key: true });
  }

  /** No link of the chain, for it may be left out: it says after which one it came, and its own number. */
  async #lucky(ctx: Context): Promise<void> {
    const { head, lucky } = ctx.state;
    const text = JSON.stringify({ head, lucky });
    if (await ctx.tryEmit({ pad: this.#pad(head) }, { text })) ctx.state.lucky += 1;
  }

  #pad(hash: number): InstanceType<TensorConstructor> {
    const bytes = padOf(hash);
    return new this.#Tensor('uint8', bytes, [bytes.length]);
  }

  async #chance(ctx: Context): Promise<number[]> {
    if (!this.recorded) return [Math.random(), performance.now()];
    return [ctx.random(), await ctx.record('chance', () => Math.random())];
  }
}

async function poke(ctx: Context, n: number): Promise<Link> {
  const { state } = ctx;
  // Chance of the seed only: whether a handler may record is not what is asked here.
  const { pokes, frames } = state;
  const link = advance(state, { kind: 'poke', n, pokes, frames, chance: [ctx.random()] });
  state.pokes += 1;
  await ctx.send('link', link);
  if (refuses(n))
    throw Object.assign(new Error(JSON.stringify(link)), { name: 'CommandError', code: 'fifth' });
  return link;
}

async function say(ctx: Context, kind: 'said' | 'turned' | 'done'): Promise<void> {
  const { frames, parts, pokes, lucky } = ctx.state;
  await ctx.send('link', advance(ctx.state, { kind, frames, parts, pokes, lucky }));
}

function advance(state: State, step: Step): Link {
  const link = linked(state.head, step);
  state.head = link.after;
  return link;
}

export default Walk satisfies ModuleClass<State, Parameters>;
