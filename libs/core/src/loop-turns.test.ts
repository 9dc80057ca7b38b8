import { LoopTurns } from './loop-turns';

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a few calls begin at once, and more in the next turns, in order', async () => {
  const turns = new LoopTurns(8, () => 0);
  const begun: number[] = [];
  for (let call = 0; call < 20; call++) {
    const turn = turns.enter('a');
    if (turn === undefined) begun.push(call);
    else void turn.then(() => begun.push(call));
  }
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(turns.waiting).toBe(12);
  await immediate();
  await immediate();
  await immediate();
  expect(begun).toEqual(Array.from({ length: 20 }, (_, call) => call));
  expect(turns.waiting).toBe(0);
});

test('a call of another connection waits for one turn, however many came before it', async () => {
  const turns = new LoopTurns(8, () => 0);
  let bobs = 0;
  for (let call = 0; call < 10_000; call++) void turns.enter('bob')?.then(() => bobs++);
  await turns.enter('alice');
  expect(bobs).toBeLessThanOrEqual(8);
  expect(turns.waiting).toBeGreaterThan(9_900);
});

test('idle, it holds nothing back', async () => {
  const turns = new LoopTurns(8, () => 0);
  for (let round = 0; round < 5; round++) {
    for (let call = 0; call < 8; call++) expect(turns.enter(`c${call}`)).toBeUndefined();
    await immediate();
    await immediate();
  }
});

test('what waits to be run is run once, in order, and lets others in between', async () => {
  const turns = new LoopTurns(2, () => 0);
  const run: number[] = [];
  const tasks = Array.from({ length: 5 }, (_, number) => () => void run.push(number));
  for (const task of [...tasks, ...tasks.slice(2)]) turns.run(task);
  expect(run).toEqual([0, 1]);
  await immediate();
  expect(run).toEqual([0, 1, 2, 3]);
  await immediate();
  expect(run).toEqual([0, 1, 2, 3, 4]);
  expect(turns.waiting).toBe(0);
});

test('the longer a turn took, the more begins in the next one, up to eight times as many', async () => {
  let now = 0;
  const turns = new LoopTurns(8, () => now);
  let begun = 0;
  for (let call = 0; call < 1000; call++) turns.run(() => begun++, `c${call}`);
  const begunAfter = async (ms: number): Promise<number> => {
    const before = begun;
    now += ms;
    await immediate();
    return begun - before;
  };
  expect(begun).toBe(8);
  expect(await begunAfter(1)).toBe(8);
  expect(await begunAfter(20)).toBe(20);
  expect(await begunAfter(1000)).toBe(64);
  expect(turns.waiting).toBe(1000 - begun);
});
