import { LoopTurns } from './loop-turns';

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a few calls begin at once, and more in the next turns, in order', async () => {
  const turns = new LoopTurns(8);
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
  const turns = new LoopTurns(8);
  let bobs = 0;
  for (let call = 0; call < 10_000; call++) void turns.enter('bob')?.then(() => bobs++);
  await turns.enter('alice');
  expect(bobs).toBeLessThanOrEqual(8);
  expect(turns.waiting).toBeGreaterThan(9_900);
});

test('idle, it holds nothing back', async () => {
  const turns = new LoopTurns(8);
  for (let round = 0; round < 5; round++) {
    for (let call = 0; call < 8; call++) expect(turns.enter(`c${call}`)).toBeUndefined();
    await immediate();
    await immediate();
  }
});

test('what waits to be run is run once, in order, and lets others in between', async () => {
  const turns = new LoopTurns(2);
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
