/** Whose time passes: in all that a call runs of its author's code he is watched. */
import type { Survival } from '@cabstand/model';
import type { AuthorModule } from './author';
import type { Context } from './context';
import { running, say } from './session.fixture';
import type { Run } from './session.fixture';

/** What an author does, given something to call wherever code of his runs. */
interface Case {
  readonly survival?: Survival;
  startSession?(ctx: Context, here: () => null): Promise<unknown>;
  module?(here: () => null): Partial<AuthorModule>;
  command?(here: () => null): object;
}

const validator = (here: () => null): object => ({
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value, x: here() }) },
});

const CASES: Readonly<Record<string, Case>> = {
  'what ctx.record is given': { startSession: (ctx, here) => ctx.record('x', here) },
  'what ctx.record is given, behind an await': {
    startSession: (ctx, here) => ctx.record('x', async () => Promise.resolve().then(here)),
  },
  'a recorded value': { startSession: (ctx, here) => ctx.record('x', () => ({ toJSON: here })) },
  'a message': { startSession: (ctx, here) => ctx.send('m', { toJSON: here }) },
  'an output': {
    startSession: (ctx, here) =>
      ctx
        .emit({
          get y() {
            return here() as never;
          },
        })
        .catch(() => undefined),
  },
  'the state': {
    survival: 'commit',
    async startSession(ctx, here) {
      ctx.state = {
        get a() {
          return here();
        },
      };
      await say(ctx, 'a');
      await ctx.checkpoint();
    },
  },
  'snapshot()': {
    survival: 'commit',
    async startSession(ctx) {
      await say(ctx, 'a');
      await ctx.checkpoint();
    },
    module: (here) => ({ snapshot: here }),
  },
  'newState()': { module: (here) => ({ newState: here }) },
  'a schema of arguments': {
    startSession: (ctx) => ctx.idle(),
    command: (here) => ({ arguments: validator(here), handle: () => null }),
  },
  'a schema of a result': {
    startSession: (ctx) => ctx.idle(),
    command: (here) => ({ result: validator(here), handle: () => null }),
  },
  'a handler, behind a call of its own': {
    startSession: (ctx) => ctx.idle(),
    command: (here) => ({
      async handle(ctx: Context) {
        await ctx.idle(0);
        here();
      },
    }),
  },
  'endSession(), behind a call that nobody awaits': {
    async startSession(ctx) {
      ctx.idle().catch(() => undefined);
      await new Promise((resolve) => setImmediate(resolve));
    },
    module: (here) => ({ endSession: () => void here() }),
  },
};

test.each(Object.entries(CASES))('in %s its author is watched', async (_, one) => {
  const seen: boolean[] = [];
  const begun: { run?: Run } = {};
  // Before there is a run, the session begins: nobody has set a flag yet.
  const here = (): null => {
    seen.push(begun.run?.life.flags.waiting ?? false);
    return null;
  };
  const session = async (ctx: Context): Promise<void> => {
    await one.startSession?.(ctx, here);
  };
  const run = await running(session, {
    survival: one.survival ?? 'none',
    module: one.module?.(here) ?? {},
    commands: one.command === undefined ? {} : { go: one.command(here) },
  });
  begun.run = run;
  if (one.command !== undefined)
    run.life.send({ kind: 'command', sequence: 1, turn: 0, number: 0, name: 'go', arguments: '' });
  expect(await run.end()).toMatchObject({ reason: 'completed' });
  expect(seen.length).toBeGreaterThan(0);
  expect(seen).not.toContain(true);
});

test('who waits for the runtime is not watched, and gives a sign of life with each call', async () => {
  const run = await running(async (ctx) => {
    await ctx.idle();
    for (let count = 0; count < 3; count += 1) await say(ctx, 'a');
  });
  await run.until(() => run.life.flags.parked);
  expect(run.life.flags.waiting).toBe(true);
  const { signs } = run.life.flags;
  run.life.flags.stop('stopped');
  run.life.send({ kind: 'wake', sequence: 1 });
  await run.end();
  expect(run.life.flags.signs).toBeGreaterThan(signs + 3);
  expect(run.life.flags.waiting).toBe(false);
});
