/** Clients that know a session by its name only: they take it over, or watch it. Needs a build. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError, RemoteManager, SessionManager } from '@cabstand/client';
import { float32Of } from '@cabstand/tensor';
import type { Chunk, Session, TurnResult } from '@cabstand/client';
import { Child, REPOSITORY_ROOT, Subnet, until as untilGiven } from '@cabstand/testing';

/** Counts in frames; every fifth is a key. The command `add` raises what it adds to each. */
const RIDE = `
export default class Ride {
  static async load(env: any) { return new Ride(env.Tensor); }
  static commands = {
    add: { handle: (ctx: any) => { ctx.state.sum += 1; return { sum: ctx.state.sum, i: ctx.state.i }; } },
  };
  constructor(private Tensor: any) {}
  newState() { return { i: 0, sum: 0 }; }
  async startSession(ctx: any) {
    const { state } = ctx;
    while (!ctx.shouldStop() && state.i < ctx.parameters.frames) {
      await ctx.checkpoint();
      await ctx.idle(10);
      const y = new this.Tensor('float32', Float32Array.of(state.i, state.sum), [2]);
      await ctx.emit({ y }, { key: state.i % 5 === 0 });
      state.i += 1;
      if (state.i % 10 === 0) await ctx.send('tens', { i: state.i });
    }
  }
}
`;

const manifest = (survival: string): string => `
kind: module
sessions: exclusive
survival: ${survival}
messages: { tens: { type: object } }
outputs: { y: { dtype: float32, shape: [2] } }
parameters: { frames: { dtype: int64, shape: [], default: 100 } }
limits: { stop_grace_seconds: 1 }
`;

const CLI = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');

/** At 10 ms each: a router hears of a session within a second. */
const FRAMES = 300;

jest.setTimeout(20_000);

let models: string;
let subnet: Subnet | undefined;
let remote: RemoteManager | undefined;
/** Two processes of the same principal. */
let [first, second]: SessionManager[] = [];

beforeAll(async () => {
  models = mkdtempSync(path.join(tmpdir(), 'cabstand-take-over-'));
  for (const survival of ['none', 'replay']) {
    mkdirSync(path.join(models, survival, '1'), { recursive: true });
    writeFileSync(path.join(models, survival, 'model.yaml'), manifest(survival));
    writeFileSync(path.join(models, survival, '1', 'index.ts'), RIDE);
  }
  subnet = await Subnet.start({ hosters: 1, models });
  const authorizer = subnet.authorizer();
  remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer });
  first = new SessionManager(remote, { authorizer });
  second = new SessionManager(remote, { authorizer });
}, 60_000);
afterAll(async () => {
  await Promise.all([first?.close(), second?.close()]);
  await remote?.close();
  await subnet?.stop();
  rmSync(models, { recursive: true });
});

const until = (what: () => boolean | Promise<boolean>): Promise<unknown> =>
  untilGiven('it', async () => (await what()) || undefined);

const manager = (one: SessionManager | undefined): SessionManager => {
  if (one === undefined) throw new Error('nothing was started');
  return one;
};

const countOf = (chunk: Chunk): number => float32Of(chunk.tensor('y'))[0] ?? NaN;

/** A turn, read to its end or its failure, as far as it has come. */
class Reading {
  readonly counts: number[] = [];
  readonly positions: number[] = [];
  readonly over: Promise<TurnResult | CabstandError>;

  constructor(turn: AsyncIterator<Chunk, TurnResult>) {
    this.over = this.#read(turn).catch((error: unknown) => CabstandError.from(error));
  }

  async #read(turn: AsyncIterator<Chunk, TurnResult>): Promise<TurnResult> {
    for (;;) {
      const { done, value } = await turn.next();
      if (done === true) return value;
      this.counts.push(countOf(value));
      this.positions.push(value.position);
    }
  }
}

async function ride(
  model: string,
  frames: number,
): Promise<{ session: Session; reading: Reading }> {
  const session = manager(first).session({ model });
  const parameters = { frames };
  const reading = new Reading(session.runProtocolTask(undefined, undefined, { parameters }));
  const early = reading.over.then((why) => {
    if (reading.counts.length < 5) throw new Error('it ended early', { cause: why });
  });
  await Promise.race([early, until(() => reading.counts.length >= 5)]);
  return { session, reading };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test.each(['none', 'replay'])(
  'a client takes over by name while frames flow: nothing is lost, and the other is told (%s)',
  async (model) => {
    const { session, reading } = await ride(model, FRAMES);
    expect(await session.command('add')).toMatchObject({ sum: 1 });
    // Until the router has heard of the session.
    await until(async () => (await remote?.locate(session.id))?.length === 1);
    await using taken = await manager(second).attach(session.id);
    const rest = new Reading(taken.continueTurn());
    await until(() => rest.counts.length > 0);
    // Its commands follow those of the client before.
    expect(await taken.command('add')).toMatchObject({ sum: 2 });
    expect(await rest.over).toMatchObject({ reason: 'completed' });
    expect(await reading.over).toMatchObject({ reason: 'EPOCH_FENCED' });
    // What nobody had acknowledged came twice, and everything came.
    const all = new Map([...reading.positions, ...rest.positions].map((at, i) => [at, i]));
    expect(all.size).toBe(FRAMES);
    expect([...new Set([...reading.counts, ...rest.counts])].sort((a, b) => a - b)).toEqual(
      upTo(FRAMES),
    );
    expect(rest.counts).toEqual(upTo(FRAMES).slice(rest.counts[0]));
    await session.detach();
  },
);

test('a client takes over from now on, and leaves out what waits', async () => {
  const { session, reading } = await ride('none', FRAMES);
  await session.detach();
  await reading.over;
  await until(async () => (await session.status().catch(() => undefined)) === undefined);
  const seen = reading.counts.length;
  await using taken = await manager(second).attach(session.id, { from: 'now', model: 'none' });
  const rest = new Reading(taken.continueTurn());
  expect(await rest.over).toMatchObject({ reason: 'completed' });
  expect(rest.counts[0]).toBeGreaterThanOrEqual(seen);
  expect(rest.counts).toEqual(upTo(FRAMES).slice(rest.counts[0]));
});

test('a client watches: from a key on, with the messages and the end', async () => {
  const { session, reading } = await ride('replay', FRAMES);
  await using view = await manager(second).view(session.id, { model: 'replay' });
  const told: unknown[] = [];
  view.on('message', ({ message }) => told.push(message));
  view.on('end', ({ reason }) => told.push(reason));
  const counts: number[] = [];
  for await (const chunk of view) counts.push(countOf(chunk));
  expect((counts[0] ?? NaN) % 5).toBe(0);
  expect(counts).toEqual(upTo(FRAMES).slice(counts[0]));
  expect(told.slice(-2)).toEqual([{ i: FRAMES }, 'completed']);
  expect(await reading.over).toMatchObject({ reason: 'completed' });
  await session.close();
});

test('`cabstand view` shows a session as it comes, and how it ended', async () => {
  const { session } = await ride('replay', 100_000);
  const flags = ['--router', (subnet?.routerAddresses ?? []).join(','), '--model', 'replay'];
  const credentials = ['--credentials', subnet?.keys ?? ''];
  const args = [CLI, 'view', session.id, '--json', ...flags, ...credentials];
  await using child = new Child('view', args);
  await until(() => child.output.includes('"message":"tens"'));
  await session.close();
  expect({ ...(await child.exited), output: child.output }).toMatchObject({ code: 0 });
  const told = child.output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(told).toContainEqual({ end: { reason: 'stopped' } });
  const positions = told.flatMap(({ position }) => (position === undefined ? [] : [position]));
  expect(positions.length).toBeGreaterThan(1);
  expect(positions).toEqual([...positions].sort((x, y) => Number(x) - Number(y)));
});

test('a session that nobody has is unknown by name', async () => {
  const unknown = { reason: 'SESSION_UNKNOWN' };
  await expect(manager(second).attach('nowhere')).rejects.toMatchObject(unknown);
  await expect(manager(second).view('nowhere', { model: 'none' })).rejects.toMatchObject(unknown);
});
