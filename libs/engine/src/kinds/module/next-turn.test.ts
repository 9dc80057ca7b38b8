import type { Survival } from '@cabstand/model';
import { tensorOf } from '@cabstand/tensor';
import type { StepItem, TurnEnd } from '../../frames/types';
import type { Context } from './context';
import { turnOfLoop } from './exactly-once.fixture';
import { Life, dataOf } from './host.fixture';
import type { Turn } from './messages';
import { say, text } from './session.fixture';

interface State {
  words: string[];
}

/** Says what it was asked, with all that it heard before. */
async function talks(ctx: Context): Promise<void> {
  do {
    const { words } = ctx.state as State;
    words.push(ctx.prompt);
    await say(ctx, `${ctx.turn}: ${words.join(' ')}`);
    await ctx.checkpoint();
  } while ((await ctx.nextTurn()) !== undefined);
}

const turnOf = (number: number, prompt: string, more: Partial<Turn> = {}): Turn => ({
  ...{ number, prompt, parameters: {}, inputs: [], live: false, continued: false },
  ...more,
});

class Talk {
  readonly items: StepItem[] = [];

  private constructor(readonly life: Life) {}

  static async begin(
    survival: Survival,
    startSession = talks,
    restore?: Uint8Array,
    commands: object = {},
  ): Promise<Talk> {
    const newState = (): State => ({ words: [] });
    const life = await Life.begin(
      { load: () => ({ newState, startSession }), commands },
      dataOf(survival),
    );
    life.flags.grant(1000, 1e9);
    const open = { sequence: 1, place: 0, seed: 7, session: 's', snapshots: true };
    life.send({ kind: 'open', ...open, ...(restore === undefined ? {} : { restore }) });
    return new Talk(life);
  }

  turn(turn: Turn): Promise<TurnEnd> {
    this.life.send({ kind: 'turn', sequence: 1, turn });
    return this.end(turn.number);
  }

  async end(turn: number): Promise<TurnEnd> {
    for (let tick = 0; tick < 1000; tick++) {
      this.items.push(...this.life.arrived());
      for (const item of this.items) if (item.kind === 'end' && item.turn === turn) return item.end;
      await turnOfLoop();
    }
    throw new Error(`turn ${turn} does not end`);
  }

  get said(): string[] {
    return this.items.flatMap((item) => (item.kind === 'record' ? [text(item)] : []));
  }

  /** Of the end of the turn before. */
  get snapshot(): Buffer {
    const found = this.items.findLast((item) => item.kind === 'snapshot');
    if (found?.kind !== 'snapshot' || !found.ended) throw new Error('none is of an end');
    return found.data;
  }
}

test.each<Survival>(['none', 'replay', 'commit'])(
  'a session of survival %s takes one turn after another',
  async (survival) => {
    const talk = await Talk.begin(survival);
    const ends = [await talk.turn(turnOf(0, 'a')), await talk.turn(turnOf(1, 'b'))];
    expect(ends).toEqual([
      { reason: 'completed', steps: 1, goesOn: true },
      { reason: 'completed', steps: 1, goesOn: true },
    ]);
    expect(talk.said).toEqual(['0: a', '1: a b']);
  },
);

test.each<Survival>(['replay', 'commit'])(
  'a session of survival %s goes on elsewhere, from between its turns and from within one',
  async (survival) => {
    const one = await Talk.begin(survival);
    await one.turn(turnOf(0, 'a'));
    const other = await Talk.begin(survival, talks, one.snapshot);
    const again = await Promise.all([one, other].map((talk) => talk.turn(turnOf(1, 'b'))));
    expect(again[0]).toEqual(again[1]);
    expect(other.said).toEqual(['1: a b']);
    const records = (talk: Talk): StepItem[] =>
      talk.items.filter((item) => item.kind === 'record' && item.turn === 1);
    // With the numbers of their calls, and the chain.
    expect(records(other)).toEqual(records(one));
    const [record] = records(one);
    if (record?.kind !== 'record' || survival === 'commit') return;
    const replay = { entries: [], records: 1, chain: record.chain };
    const third = await Talk.begin(survival, talks, one.snapshot);
    await expect(third.turn(turnOf(1, 'b'))).resolves.toMatchObject({ reason: 'completed' });
    const fourth = await Talk.begin(survival, talks, other.snapshot);
    await fourth.turn(turnOf(2, 'c'));
    expect(fourth.said).toEqual(['2: a b c']);
    const differs = await Talk.begin(survival, talks, one.snapshot);
    const wrong = { replay: { ...replay, chain: record.chain + 1 } };
    expect(await differs.turn(turnOf(1, 'b', wrong))).toMatchObject({
      reason: 'error',
      error: { metadata: { problem: 'not_deterministic' } },
    });
  },
);

test('live input and commands are of the turn in which they come', async () => {
  const heard: unknown[] = [];
  const commands = { note: { handle: (ctx: Context, what: unknown) => [ctx.turn, what] } };
  const talk = await Talk.begin(
    'replay',
    async (ctx) => {
      do {
        for (let part; (part = await ctx.input()) !== undefined;)
          heard.push([ctx.turn, Number(part.x?.data[0])]);
      } while ((await ctx.nextTurn()) !== undefined);
    },
    undefined,
    commands,
  );
  const tell = (turn: number): void => {
    const inputs = [tensorOf('x', Float32Array.of(turn))];
    const part = { number: 0, inputs, last: true };
    talk.life.send({
      ...{ kind: 'command', sequence: 1, turn, number: turn, name: 'note', arguments: '{}' },
    });
    talk.life.send({ kind: 'part', sequence: 1, turn, part });
  };
  for (const number of [0, 1]) {
    const end = talk.turn(turnOf(number, '', { live: true }));
    tell(number);
    // Of a turn that is over: passed over.
    tell(number - 1);
    await end;
  }
  expect(heard).toEqual([
    [0, 0],
    [1, 1],
  ]);
  expect(talk.items.filter((item) => item.kind === 'record' && item.field === 9)).toHaveLength(2);
});

test('a turn that is stopped ends so, and the next one knows nothing of it', async () => {
  const stops: unknown[] = [];
  const talk = await Talk.begin('none', async (ctx) => {
    do {
      while (ctx.prompt === 'wait' && (await ctx.idle()));
      stops.push([ctx.turn, ctx.stopReason]);
      if (ctx.turn === 1) expect(ctx.signal.aborted).toBe(false);
    } while ((await ctx.nextTurn()) !== undefined);
  });
  const end = talk.turn(turnOf(0, 'wait'));
  await turnOfLoop();
  talk.life.flags.stop('cancelled');
  talk.life.send({ kind: 'wake', sequence: 1 });
  expect(await end).toEqual({ reason: 'cancelled', steps: 0, goesOn: true });
  talk.life.flags.forgetStop();
  expect(await talk.turn(turnOf(1, ''))).toMatchObject({ reason: 'completed' });
  expect(stops).toEqual([
    [0, 'cancelled'],
    [1, undefined],
  ]);
});

test('nextTurn gives undefined once where the session is closed', async () => {
  const given: unknown[] = [];
  const talk = await Talk.begin('none', async (ctx) => {
    given.push(await ctx.nextTurn(), await ctx.nextTurn());
    await say(ctx, 'too late');
  });
  await talk.turn(turnOf(0, ''));
  talk.life.send({ kind: 'close', sequence: 1 });
  for (let tick = 0; !talk.life.told.some(({ kind }) => kind === 'freed'); tick++) {
    if (tick > 1000) throw new Error('it is not freed');
    await turnOfLoop();
  }
  expect(given).toEqual([undefined, undefined]);
  expect(talk.said).toEqual([]);
});

test('a handler cannot end the turn', async () => {
  const commands = { end: { handle: (ctx: Context) => ctx.nextTurn() } };
  const talk = await Talk.begin(
    'none',
    async (ctx) => {
      await ctx.idle(0);
    },
    undefined,
    commands,
  );
  const end = talk.turn(turnOf(0, ''));
  talk.life.send({
    ...{ kind: 'command', sequence: 1, turn: 0, number: 0, name: 'end', arguments: '{}' },
  });
  await end;
  const [, result] = talk.items.flatMap((item) => (item.kind === 'record' ? [item] : []));
  expect(result?.body.toString()).toMatch(/COMMAND_FAILED.*nextTurn/s);
});
