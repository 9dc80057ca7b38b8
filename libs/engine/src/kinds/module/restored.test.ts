/** Sessions that begin from what an earlier life saved, and what a second life may do differently. */
import { Tensor } from 'onnxruntime-node';
import type { DeclaredOutput } from '@cabstand/model';
import type { RecordItem } from '../../frames/module-frames';
import type { StepItem, TurnEnd } from '../../frames/types';
import { decodeChunk } from '../../verify/decode-chunk';
import type { AuthorClass, AuthorModule } from './author';
import type { Context } from './context';
import { turnOfLoop } from './exactly-once.fixture';
import { Life, dataOf } from './host.fixture';
import type { ThreadData, ToThread, Turn } from './messages';

interface Lived {
  readonly life: Life;
  readonly items: readonly StepItem[];
  readonly records: readonly RecordItem[];
  readonly end: TurnEnd | undefined;
}

interface Given {
  readonly data: ThreadData;
  readonly restore?: Uint8Array;
  readonly replay?: Turn['replay'];
  readonly snapshot?: boolean;
}

/** One life, up to its end or to its first snapshot. */
async function lived(author: AuthorClass, given: Given): Promise<Lived> {
  const { data, restore, replay, snapshot = false } = given;
  const life = await Life.begin(author, data, 5);
  life.flags.grant(1000, 1e9);
  const sequence = 1;
  const open: ToThread = {
    ...{ kind: 'open', sequence, place: 0, seed: 7, session: 's', snapshots: true },
    ...(restore === undefined ? {} : { restore }),
  };
  life.send(open);
  const inputs = { number: 0, prompt: '', parameters: {}, inputs: [], live: false };
  const turn: Turn = { ...inputs, continued: restore !== undefined };
  life.send({ kind: 'turn', sequence, turn: replay === undefined ? turn : { ...turn, replay } });
  if (snapshot) life.send({ kind: 'snapshot', sequence });
  const items: StepItem[] = [];
  while (!items.some(({ kind }) => kind === 'end' || kind === 'snapshot')) {
    items.push(...life.arrived());
    await turnOfLoop();
  }
  const records = items.flatMap((item) => (item.kind === 'record' ? [item] : []));
  const [end] = items.flatMap((item) => (item.kind === 'end' ? [item.end] : []));
  return { life, items, records, end };
}

function savedBy({ items }: Lived): Uint8Array {
  const [saved] = items.flatMap((item) => (item.kind === 'snapshot' ? [item.data] : []));
  if (saved === undefined) throw new Error('no snapshot');
  return saved;
}

const said = ({ records }: Lived): string[] => records.map(({ body }) => decodeChunk(body).text);

/** Emits what its state says, once its caller has had time to ask for a snapshot. */
function telling(module: Partial<AuthorModule>, more: Partial<AuthorClass> = {}): AuthorClass {
  return {
    load: () => ({
      newState: () => ({ word: 'old' }),
      async startSession(ctx: Context) {
        await ctx.idle(5);
        await ctx.checkpoint();
        await ctx.emit({}, { text: JSON.stringify(ctx.state) });
      },
      ...module,
    }),
    ...more,
  };
}

describe('a state of an earlier stateVersion', () => {
  const data = dataOf('replay');
  const first = lived(telling({}, { stateVersion: 1 }), { data, snapshot: true });

  test('is of no use to a module that has no migrate', async () => {
    const restore = savedBy(await first);
    const { end } = await lived(telling({}, { stateVersion: 2 }), { data, restore });
    expect(end).toMatchObject({
      reason: 'error',
      error: { reason: 'CHECKPOINT_INVALID', metadata: { problem: 'version' } },
    });
  });

  test('becomes what migrate makes of it', async () => {
    const restore = savedBy(await first);
    const migrate = (state: unknown, from: number): unknown => ({ was: state, from });
    const second = await lived(telling({}, { stateVersion: 2, migrate }), { data, restore });
    expect(said(second)).toEqual(['{"was":{"word":"old"},"from":1}']);
    const same = await lived(telling({}, { stateVersion: 1, migrate }), { data, restore });
    expect(said(same)).toEqual(['{"word":"old"}']);
  });

  test('is migrated before the author restores it', async () => {
    const restore = savedBy(await first);
    const author = telling(
      { restore: (state: unknown) => ({ restored: state }) },
      { stateVersion: 2, migrate: (state: unknown) => ({ migrated: state }) },
    );
    const second = await lived(author, { data, restore });
    expect(said(second)).toEqual(['{"restored":{"migrated":{"word":"old"}}}']);
  });
});

test('a state that is no plain data is kept as the author’s snapshot says, and given as restore makes it', async () => {
  const data = dataOf('replay');
  const live = (word: string): object => ({ word, call: () => word });
  const author = telling({
    newState: () => live('kept'),
    snapshot: (state) => (state as { word: string }).word,
    restore: (word) => live(`${String(word)} and restored`),
  });
  const restore = savedBy(await lived(author, { data, snapshot: true }));
  const second = await lived(author, { data, restore });
  expect(second.end).toMatchObject({ reason: 'completed' });
  expect(said(second)).toEqual(['{"word":"kept and restored"}']);
});

describe('replay_check', () => {
  const outputs: readonly DeclaredOutput[] = [
    { name: 'y', dtype: 'float32', shape: [1] },
    { name: 'n', dtype: 'int32', shape: [1] },
  ];
  const author = (y: number, n: number): AuthorClass =>
    telling({
      async startSession(ctx: Context) {
        const given = {
          y: new Tensor('float32', [y], [1]),
          n: new Tensor('int32', [n], [1]),
        };
        await ctx.emit(given);
        await ctx.emit({}, { text: 'behind' });
      },
    });
  const twice = async (replayCheck: 'exact' | 'shape', y: number, n: number): Promise<TurnEnd> => {
    const data = dataOf('replay', { outputs, replayCheck });
    const { records } = await lived(author(1, 1), { data });
    const chain = records[0]?.chain ?? 0;
    expect(chain).not.toBe(0);
    const replay = { entries: [], records: 1, chain };
    const { end } = await lived(author(y, n), { data, replay });
    if (end === undefined) throw new Error('no end');
    return end;
  };
  const lost = { reason: 'error', error: { reason: 'SESSION_LOST' } };

  test('exact: other floats the second time are another session', async () => {
    expect(await twice('exact', 1, 1)).toMatchObject({ reason: 'completed' });
    expect(await twice('exact', 1.000001, 1)).toMatchObject(lost);
  });

  test('shape: floats may differ, and nothing else', async () => {
    expect(await twice('shape', 1.000001, 1)).toMatchObject({ reason: 'completed' });
    expect(await twice('shape', 1, 2)).toMatchObject(lost);
  });
});

test.each([
  ['returns', () => undefined, []],
  ['throws', () => Promise.reject(new Error('no way out')), [/unload: Error: no way out/]],
])('an unload that %s is answered', async (_, unload, lines) => {
  const unloaded = jest.fn(unload);
  const author = telling({ unload: unloaded });
  const { life } = await lived(author, { data: dataOf('none') });
  expect(unloaded).not.toHaveBeenCalled();
  life.send({ kind: 'unload' });
  while (!life.told.some(({ kind }) => kind === 'unloaded')) await turnOfLoop();
  expect(unloaded).toHaveBeenCalledTimes(1);
  expect(life.logs).toEqual(lines.map((line) => expect.stringMatching(line) as string));
});
