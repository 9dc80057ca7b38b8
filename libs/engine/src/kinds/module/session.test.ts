/** Calls of one session, in a life that nothing disturbs. */
import { tensorOf } from '@cabstand/tensor';
import { HELD_PARTS, RecordField } from '../../frames/module-frames';
import type { TurnEnd } from '../../frames/types';
import type { AuthorClass } from './author';
import type { Context } from './context';
import { turnOfLoop } from './exactly-once.fixture';
import { LIMITS, Life, dataOf, fieldsOf } from './host.fixture';
import type { Turn } from './messages';
import { running, text, say } from './session.fixture';

test('a million emits that nobody awaits are refused with a sentence', async () => {
  const run = await running(async (ctx) => {
    ctx.emit({}, { text: 'x' }).catch(() => undefined);
    for (let index = 1; index < 1_000_000; index += 1) void ctx.emit({}, { text: 'x' });
    await Promise.resolve();
  });
  expect(await run.end()).toMatchObject({
    reason: 'error',
    error: {
      reason: 'MODULE_FAILED',
      message: expect.stringMatching(/ctx.emit\(\) was called before.*await/) as unknown,
      metadata: { problem: 'concurrent_call' },
    },
  });
  expect(run.records()).toHaveLength(1);
});

test.each<[string, (ctx: Context) => Promise<unknown>, RegExp]>([
  ['a message', (ctx) => ctx.send('m', 'x'.repeat(65_535)), /message m.*65537 bytes/],
  ['a recorded value', (ctx) => ctx.record('v', () => 'x'.repeat(65_535)), /value v.*65537 bytes/],
  ['no JSON', (ctx) => ctx.send('m', 7n), /message m.*BigInt/],
  ['an output that is not declared', (ctx) => ctx.emit({ z: {} as never }), /emit.*"z".*expected/],
  [
    'a checkpoint that holds a function',
    (ctx) => {
      ctx.state = { f: () => 1 };
      return ctx.checkpoint();
    },
    /state cannot be kept/,
  ],
])('%s that cannot be throws in the author’s code', async (_, call, message) => {
  const run = await running(
    async (ctx) => {
      await say(ctx, 'before');
      await call(ctx);
    },
    { survival: 'commit' },
  );
  expect(await run.end()).toMatchObject({
    reason: 'error',
    error: { message: expect.stringMatching(message) as unknown },
  });
});

test('an author may catch what one emit threw, and go on', async () => {
  const run = await running(async (ctx) => {
    await ctx.emit({ z: {} as never }).catch(() => undefined);
    await say(ctx, 'well');
  });
  expect(await run.end()).toMatchObject({ reason: 'completed', steps: 1 });
  expect(run.records().map(text)).toEqual(['well']);
});

test('emit waits for credit, tryEmit answers without', async () => {
  const run = await running(
    async (ctx) => {
      await say(ctx, 'a');
      await say(ctx, 'b');
      await say(ctx, String(await ctx.tryEmit({}, { text: 'never' })));
    },
    { credit: 2 },
  );
  await run.until(() => run.records().length === 2);
  for (let turns = 0; turns < 10; turns += 1) await turnOfLoop();
  expect(run.records()).toHaveLength(2);
  // A stop lets the author go on, so that he comes to his end; there is no credit yet.
  run.life.flags.stop('stopped');
  run.life.send({ kind: 'wake', sequence: 1 });
  expect(await run.end()).toEqual({ reason: 'stopped', steps: 3 });
  expect(run.records().map(text)).toEqual(['a', 'b', 'false']);
});

test('credit lets the author go on', async () => {
  const run = await running(
    async (ctx) => {
      for (const said of ['a', 'b', 'c']) await say(ctx, said);
    },
    { credit: 1 },
  );
  await run.until(() => run.records().length === 1);
  run.life.flags.grant(10, 0);
  run.life.send({ kind: 'wake', sequence: 1 });
  expect(await run.end()).toEqual({ reason: 'completed', steps: 3 });
});

test('records that wait for a checkpoint leave as one group with it; too many end the session', async () => {
  const run = await running(
    async (ctx) => {
      for (const said of ['a', 'b', 'c']) await say(ctx, said);
      await ctx.checkpoint();
      for (let count = 0; count < 4; count += 1) await say(ctx, 'd');
    },
    { survival: 'commit', more: { limits: { ...LIMITS, uncommittedRecords: 3 } } },
  );
  expect(await run.end()).toMatchObject({
    reason: 'error',
    error: { reason: 'MODULE_FAILED', metadata: { problem: 'uncommitted' } },
  });
  expect(run.records().map((item) => [text(item), item.flags])).toEqual([
    ['a', 1],
    ['b', 1],
    ['c', 0],
  ]);
  expect(run.items.map(({ kind }) => kind)).toEqual([
    'record',
    'record',
    'record',
    'snapshot',
    'end',
  ]);
});

test('parts that the newest one passes over are not too many for a checkpoint, and each has its record', async () => {
  const backlog = 200;
  let begun = false;
  const newest: unknown[] = [];
  const run = await running(
    async (ctx) => {
      while (!begun) await ctx.idle(0);
      for (let count = 0; count < 2; count += 1)
        newest.push((await ctx.input({ latest: true }))?.x?.data[0]);
      await ctx.checkpoint();
    },
    { survival: 'commit', live: true, more: { limits: { ...LIMITS, uncommittedRecords: 2 } } },
  );
  const send = (number: number): void =>
    run.life.send({
      ...{ kind: 'part', sequence: 1, turn: 0 },
      part: { number, inputs: [tensorOf('x', Float32Array.of(number))], last: false },
    });
  for (let number = 0; number < backlog; number += 1) send(number);
  for (let turns = 0; turns <= backlog; turns += 1) await turnOfLoop();
  begun = true;
  await run.until(() => newest.length === 1 || run.items.some(({ kind }) => kind === 'end'));
  send(backlog);
  expect(await run.end()).toMatchObject({ reason: 'completed', steps: backlog + 1 });
  expect(newest).toEqual([backlog - 1, backlog]);
  expect(run.records().map(({ body }) => fieldsOf(body)[1] ?? 0)).toEqual(
    Array.from({ length: backlog + 1 }, (_, number) => number),
  );
});

test('what is left at the end leaves with it, as one group', async () => {
  const run = await running(async (ctx) => say(ctx, 'a'), { survival: 'commit' });
  expect(await run.end()).toEqual({ reason: 'completed', steps: 1 });
  expect(run.records().map(({ flags }) => flags)).toEqual([1]);
});

test('as many commands as may wait are not too many for a checkpoint', async () => {
  let done = 0;
  const run = await running(
    async (ctx) => {
      while (done < 60) {
        await ctx.checkpoint();
        await ctx.idle();
      }
    },
    { survival: 'commit', commands: { go: { handle: () => (done += 1) } } },
  );
  for (let number = 0; number < 60; number += 1)
    run.life.send({ kind: 'command', sequence: 1, turn: 0, number, name: 'go', arguments: '' });
  expect(await run.end()).toMatchObject({ reason: 'completed', steps: 120 });
  // Of each the hoster hears at once, and not only with the checkpoint.
  const held = run.items.flatMap((item) => (item.kind === 'held' ? [item] : []));
  expect(held.map(({ number }) => number)).toEqual(Array.from({ length: 60 }, (_, n) => n));
  const bytes = run.records().reduce((sum, { body }) => sum + body.length, 0);
  expect(held.reduce((sum, item) => sum + item.bytes, 0)).toBe(bytes);
});

test('one who waits for input can be saved at once, and goes on from there', async () => {
  const run = await running(
    async (ctx) => {
      await ctx.checkpoint();
      await ctx.input();
    },
    { survival: 'replay', live: true },
  );
  await run.until(() => run.life.flags.parked);
  run.life.send({ kind: 'snapshot', sequence: 1 });
  await run.until(() => run.items.some(({ kind }) => kind === 'snapshot'));
  expect(run.items).toMatchObject([{ kind: 'snapshot', records: 0, partsTaken: 0 }]);
  const part = { number: 0, inputs: [tensorOf('x', Float32Array.of(1))], last: false };
  run.life.send({ kind: 'part', sequence: 1, turn: 0, part });
  await run.end();
});

test('one who waits for his reader at a checkpoint is told of commands', async () => {
  const run = await running(
    async (ctx) => {
      for (;;) {
        await ctx.checkpoint();
        await say(ctx, 'on');
      }
    },
    { survival: 'replay', credit: 2, commands: { go: { handle: () => 'gone' } } },
  );
  await run.until(() => run.life.flags.parked);
  // He is asked for a checkpoint while his reader is behind.
  run.life.send({ kind: 'snapshot', sequence: 1 });
  await run.until(() => run.items.some(({ kind }) => kind === 'snapshot') && run.life.flags.parked);
  run.life.send({ kind: 'command', sequence: 1, turn: 0, number: 0, name: 'go', arguments: '' });
  await run.until(() => run.records().some(({ field }) => field === RecordField.result));
  run.life.send({ kind: 'close', sequence: 1 });
});

test('a checkpoint that follows other records than those that exist is not gone on from', async () => {
  const run = await running(
    async (ctx) => {
      await say(ctx, 'a');
      await ctx.checkpoint();
      await ctx.idle();
    },
    { survival: 'replay' },
  );
  await run.until(() => run.life.flags.parked);
  run.life.send({ kind: 'snapshot', sequence: 1 });
  await run.until(() => run.items.some(({ kind }) => kind === 'snapshot'));
  const [restore] = run.items.flatMap((item) => (item.kind === 'snapshot' ? [item.data] : []));
  const chain = run.records()[0]?.chain ?? 0;
  for (const [of, reason] of [
    [chain, 'completed'],
    [chain + 1, 'error'],
  ] as const) {
    const author: AuthorClass = {
      load: () => ({
        newState: () => ({}),
        startSession: async (ctx: Context) => ctx.checkpoint(),
      }),
    };
    const life = await Life.begin(author, dataOf('replay'), 5);
    life.send({
      ...{ kind: 'open', sequence: 1, place: 0, seed: 7, session: 'name', snapshots: false },
      ...(restore === undefined ? {} : { restore }),
    });
    const replay = { entries: [], records: 1, chain: of };
    const turn: Turn = {
      ...{ number: 0, prompt: '', parameters: {}, inputs: [], live: false, continued: true },
      replay,
    };
    life.send({ kind: 'turn', sequence: 1, turn });
    let end: TurnEnd | undefined;
    while (end === undefined) {
      await turnOfLoop();
      for (const item of life.arrived()) if (item.kind === 'end') end = item.end;
    }
    expect(end.reason).toBe(reason);
    if (of !== chain)
      expect(end).toMatchObject({ error: { metadata: { problem: 'not_deterministic' } } });
  }
});

test('the latest input skips what is older, and tells of all', async () => {
  const seen: unknown[] = [];
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const run = await running(
    async (ctx) => {
      await gate;
      seen.push((await ctx.input({ latest: true }))?.x?.data[0]);
      seen.push(await ctx.input({ latest: true }));
    },
    { live: true },
  );
  for (const number of [0, 1, 2]) {
    const inputs = number === 2 ? [] : [tensorOf('x', Float32Array.of(number))];
    run.life.send({
      kind: 'part',
      sequence: 1,
      turn: 0,
      part: { number, inputs, last: number === 2 },
    });
  }
  await turnOfLoop();
  go();
  expect(await run.end()).toMatchObject({ reason: 'completed' });
  expect(seen).toEqual([1, undefined]);
  expect(
    run.records().map(({ field, point, body }) => [field, point, fieldsOf(body)[1] ?? 0]),
  ).toEqual([
    [RecordField.input, 0, 0],
    [RecordField.input, 0, 1],
    [RecordField.input, 0, 2],
  ]);
});

test('a command that comes while the author idles wakes him, and its handler may emit', async () => {
  const run = await running(
    async (ctx) => {
      while ((ctx.state as { count: number }).count < 2) await ctx.idle();
    },
    {
      commands: {
        add: {
          async handle(ctx: Context) {
            (ctx.state as { count: number }).count += 1;
            await say(ctx, 'handled');
            await expect(ctx.checkpoint()).rejects.toThrow(/belongs into the loop/);
          },
        },
      },
    },
  );
  for (const number of [1, 0])
    run.life.send({ kind: 'command', sequence: 1, turn: 0, number, name: 'add', arguments: '{}' });
  expect(await run.end()).toMatchObject({ reason: 'completed' });
  const { applied, chunk, result } = RecordField;
  expect(run.records().map(({ field }) => field)).toEqual([
    applied,
    chunk,
    result,
    applied,
    chunk,
    result,
  ]);
  expect(
    run.records().map(({ body, field }) => (field === chunk ? '' : fieldsOf(body)[3])),
  ).not.toContain('error');
});

test('an author who commits and waits for input before his checkpoint says how much of it he had', async () => {
  const run = await running(
    async (ctx) => {
      await ctx.input();
      await ctx.input();
      await ctx.checkpoint();
      await ctx.input();
    },
    { survival: 'commit', live: true },
  );
  const held = (): unknown[] =>
    run.items.flatMap((item) => (item.kind === 'held' ? [[item.number, item.bytes]] : []));
  const part = (number: number, last = false): void =>
    run.life.send({ kind: 'part', sequence: 1, turn: 0, part: { number, inputs: [], last } });
  part(0);
  await run.until(() => held().length > 0);
  part(1);
  await run.until(() => run.records().length > 0);
  part(2, true);
  expect(await run.end()).toMatchObject({ reason: 'completed' });
  expect(held()).toEqual([[HELD_PARTS, 1]]);
});
