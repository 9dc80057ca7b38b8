import { RecordField } from '../../frames/module-frames';
import type { Context } from './context';
import { LIMITS, fieldsOf } from './host.fixture';
import { running, say } from './session.fixture';

test('a stop ends with its reason whatever is thrown, after endSession', async () => {
  const told: unknown[] = [];
  const run = await running(
    async (ctx) => {
      await say(ctx, 'a');
      await ctx.idle();
      throw new Error(`stopped: ${String(ctx.stopReason)}`);
    },
    { module: { endSession: (ctx, end) => void told.push((ctx as Context).id, end) } },
  );
  await run.until(() => run.records().length === 1);
  run.life.flags.stop('evicted');
  run.life.send({ kind: 'wake', sequence: 1 });
  expect(await run.end()).toEqual({ reason: 'evicted', steps: 1 });
  expect(told).toEqual(['name', { reason: 'evicted' }]);
});

test('what nobody caught ends the session even if its loop waits for ever', async () => {
  const run = await running(async (ctx) => {
    await say(ctx, 'a');
    // The thread hears of it in the context of the session whose code it was.
    setImmediate(() => run.life.stray(new Error('forgotten at /srv/models/secret/x.ts')));
    await ctx.idle();
  });
  expect(await run.end()).toMatchObject({
    reason: 'error',
    error: { reason: 'MODULE_FAILED', message: 'Error: forgotten at <path>' },
  });
  expect(run.life.logs.join('\n')).toMatch(/session-ends\.test\.ts:\d+/);
});

test('notices beyond a hundred a second are left out, and the log tells how many', async () => {
  const run = await running((ctx) => {
    for (let level = 0; level < 1000; level += 1) ctx.notify('level', level);
    return Promise.resolve();
  });
  await run.end();
  const sent = run.items.filter(({ kind }) => kind === 'notice').length;
  expect(sent).toBeGreaterThanOrEqual(100);
  // A second or two for the loop, on a machine that does other things as well.
  expect(sent).toBeLessThan(300);
  const left = run.life.logs.map((line) => Number(/^(\d+) notices left out/.exec(line)?.[1] ?? 0));
  expect(left.reduce((sum, each) => sum + each, 0)).toBe(1000 - sent);
});

test('a notice is no record, and is dropped where nobody may be told', async () => {
  const run = await running(
    async (ctx) => {
      ctx.notify('level', 1);
      await say(ctx, 'a');
      ctx.notify('level', 2);
    },
    { credit: 1 },
  );
  await run.until(() => run.records().length === 1);
  run.life.flags.stop('stopped');
  run.life.send({ kind: 'wake', sequence: 1 });
  await run.end();
  expect(run.items.filter(({ kind }) => kind === 'notice')).toMatchObject([
    { name: 'level', json: '1' },
  ]);
});

test.each([
  ['commit', { reason: 'error', error: { metadata: { problem: 'checkpoint_too_large' } } }],
  // An older checkpoint has to do.
  ['replay', { reason: 'completed' }],
] as const)('a state beyond state_bytes under %s', async (survival, expected) => {
  const run = await running(
    async (ctx) => {
      for (let round = 0; round < 3; round++) {
        await ctx.checkpoint();
        ctx.state = { large: new Uint8Array(5000) };
        await say(ctx, 'x');
      }
    },
    { survival, more: { limits: { ...LIMITS, stateBytes: 4096 } } },
  );
  run.life.send({ kind: 'snapshot', sequence: 1 });
  expect(await run.end()).toMatchObject(expected);
});

test('state on the shared instance is refused with where it belongs', async () => {
  const run = await running(async () => Promise.resolve(), {
    module: {
      startSession() {
        Object.assign(this, { count: 1 });
      },
    },
  });
  const message = expect.stringMatching(
    /not extensible.*what belongs to one is in ctx\.state/,
  ) as unknown;
  expect(await run.end()).toMatchObject({ reason: 'error', error: { message } });
});

test('no command starts behind a stop, and one that runs comes to its result', async () => {
  const began: number[] = [];
  let wait: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    wait = resolve;
  });
  const run = await running(
    async (ctx) => {
      while (await ctx.idle());
      // What he says on his way out is no call to hand out commands in.
      await say(ctx, 'bye');
    },
    {
      commands: {
        go: {
          async handle() {
            began.push(began.length);
            await gate;
            return 'done';
          },
        },
      },
    },
  );
  for (const number of [0, 1, 2])
    run.life.send({ kind: 'command', sequence: 1, turn: 0, number, name: 'go', arguments: '' });
  await run.until(() => began.length === 1);
  run.life.flags.stop('stopped');
  run.life.send({ kind: 'wake', sequence: 1 });
  wait();
  expect(await run.end()).toMatchObject({ reason: 'stopped' });
  expect(began).toEqual([0]);
  const { applied, result, chunk } = RecordField;
  expect(run.records().map(({ field }) => field)).toEqual([applied, result, chunk]);
});

describe('a ctx that was kept', () => {
  async function contextThatIsOver(): Promise<Context> {
    const kept: Context[] = [];
    const before = await running(async (ctx) => {
      kept.push(ctx);
      await ctx.idle(0);
    });
    await before.end();
    const [ctx] = kept;
    if (ctx === undefined) throw new Error('it did not begin');
    return ctx;
  }

  test('of a handler is refused with what to do', async () => {
    let kept: Context | undefined;
    const run = await running(
      async (ctx) => {
        await ctx.idle();
        await kept?.emit({});
      },
      { commands: { keep: { handle: (ctx: Context) => void (kept = ctx) } } },
    );
    run.life.send({
      ...{ kind: 'command', sequence: 1, turn: 0 },
      ...{ number: 0, name: 'keep', arguments: '' },
    });
    expect(await run.end()).toMatchObject({
      reason: 'error',
      error: {
        reason: 'MODULE_FAILED',
        message: expect.stringMatching(/ctx\.emit\(\).*handler that is over/) as unknown,
        metadata: { problem: 'stale_context' },
      },
    });
  });

  test('of a session that is over ends the one that uses it with an error', async () => {
    const kept = await contextThatIsOver();
    const run = await running(async () => {
      await kept.idle(0);
    });
    expect(await run.end()).toMatchObject({
      reason: 'error',
      error: {
        reason: 'MODULE_FAILED',
        message: expect.stringMatching(/ctx of another session/) as unknown,
        metadata: { problem: 'stale_context' },
      },
    });
  });

  test('of a session that is over fails the command that uses it, and no more', async () => {
    const kept = await contextThatIsOver();
    const run = await running(
      async (ctx) => {
        await ctx.idle();
        await say(ctx, 'well');
      },
      { commands: { use: { handle: () => kept.idle(0) } } },
    );
    run.life.send({
      ...{ kind: 'command', sequence: 1, turn: 0 },
      ...{ number: 0, name: 'use', arguments: '' },
    });
    expect(await run.end()).toMatchObject({ reason: 'completed' });
    const results = run.records().filter(({ field }) => field === RecordField.result);
    expect(fieldsOf(results[0]?.body ?? Buffer.alloc(0))[3]).toMatch(/another session/);
  });
});
