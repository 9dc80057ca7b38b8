import { CabstandError, FakeClock } from '@cabstand/core';
import type { EngineProcess } from './engine-process';
import type { EngineExit } from './link';
import { silentLog } from './observer';
import { resolveEngineOptions } from './options';
import { Spares } from './spares';

/** A process that says HELLO, dies and is stopped when the test says so. */
class FakeProcess {
  readonly signal: AbortSignal;
  readonly started: Promise<EngineProcess>;
  readonly exited: Promise<EngineExit>;
  readonly pid: number;
  stops = 0;
  hello: () => void = () => undefined;
  fail: () => void = () => undefined;
  die: () => void = () => undefined;

  constructor(pid: number, signal: AbortSignal) {
    this.pid = pid;
    this.signal = signal;
    const error = new CabstandError('ENGINE_CRASHED', 'it is dead');
    this.exited = new Promise((resolve) => {
      this.die = () => resolve({ cause: 'exited', error });
    });
    this.started = new Promise((resolve, reject) => {
      this.hello = () => resolve(this as unknown as EngineProcess);
      this.fail = () => reject(error);
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
  }

  stop(): Promise<void> {
    this.stops += 1;
    return Promise.resolve();
  }
}

const LATE = 10 * 60_000;
const never = new AbortController().signal;

function make(count = 1) {
  const clock = new FakeClock(0);
  const processes: FakeProcess[] = [];
  const memory = { enough: true };
  const spares = new Spares({
    options: resolveEngineOptions({ spares: count }),
    clock,
    log: silentLog,
    start: (signal) => {
      const process = new FakeProcess(processes.length + 1, signal);
      processes.push(process);
      return process.started;
    },
    checkMemory: () => {
      if (!memory.enough) throw new CabstandError('OUT_OF_MEMORY', 'no room');
    },
  });
  /** What follows when the models of the start are loaded. */
  const filled = async (): Promise<void> => {
    spares.hold()();
    await clock.advance(1_000);
  };
  return { spares, clock, processes, memory, filled };
}

test('a spare is started when nothing loads any more, and not while anything does', async () => {
  const { spares, clock, processes } = make();
  const first = spares.hold();
  const second = spares.hold();
  first();
  first();
  await clock.advance(LATE);
  expect(processes).toHaveLength(0);
  second();
  expect(processes).toHaveLength(0);
  const third = spares.hold();
  await clock.advance(LATE);
  expect(processes).toHaveLength(0);
  third();
  await clock.advance(1_000);
  expect(processes).toHaveLength(1);
});

test('it is given once, and replaced when the load that took it is over', async () => {
  const { spares, clock, processes, filled } = make();
  await filled();
  processes[0]!.hello();
  await clock.advance(LATE);
  const release = spares.hold();
  await expect(spares.take(never)).resolves.toBe(processes[0]);
  expect(spares.take(never)).toBeUndefined();
  await clock.advance(LATE);
  expect(processes).toHaveLength(1);
  release();
  await clock.advance(1_000);
  expect(processes).toHaveLength(2);
  // What becomes of the one that was taken is no concern of the stock.
  processes[0]!.die();
  await clock.advance(LATE);
  expect(processes).toHaveLength(2);
});

test('of several, one that is ready goes first; one that still starts is waited for', async () => {
  const { spares, processes, filled } = make(2);
  await filled();
  expect(processes).toHaveLength(2);
  processes[1]!.hello();
  await processes[1]!.started;
  await expect(spares.take(never)).resolves.toBe(processes[1]);
  const taken = spares.take(never);
  processes[0]!.hello();
  await expect(taken).resolves.toBe(processes[0]);
  expect(spares.take(never)).toBeUndefined();
});

test('a taker that gives up ends the start of its spare', async () => {
  const { spares, processes, filled } = make();
  await filled();
  const taker = new AbortController();
  const taken = spares.take(taker.signal);
  taker.abort(new CabstandError('DRAINING', 'bye'));
  await expect(taken).rejects.toMatchObject({ reason: 'DRAINING' });
  expect(processes[0]!.signal.aborted).toBe(true);
});

test('spares that die, or cannot start, are replaced at a slowing pace', async () => {
  const { clock, processes, filled } = make();
  await filled();
  const begun: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    const count = processes.length;
    if (i % 2 === 0) processes.at(-1)!.fail();
    else {
      processes.at(-1)!.hello();
      await clock.advance(0);
      processes.at(-1)!.die();
    }
    const since = clock.monotonic();
    while (processes.length === count) await clock.advance(10);
    begun.push(clock.monotonic() - since);
  }
  expect(begun[0]).toBeLessThan(100);
  for (const [i, least] of [0, 100, 200, 400, 60_000].entries())
    expect(begun[i]).toBeGreaterThanOrEqual(least);
});

test('without memory none is started until there is some', async () => {
  const { clock, processes, memory, filled } = make();
  memory.enough = false;
  await filled();
  expect(processes).toHaveLength(0);
  memory.enough = true;
  await clock.advance(60_000);
  expect(processes).toHaveLength(1);
});

test('none are kept where none are wanted', async () => {
  const { spares, clock, processes, filled } = make(0);
  await filled();
  await clock.advance(LATE);
  expect(processes).toHaveLength(0);
  expect(spares.take(never)).toBeUndefined();
});

test('stop ends those that wait and those that start, and no other follows', async () => {
  const { spares, clock, processes, filled } = make(3);
  await filled();
  const [taken, starting, waiting] = processes;
  taken!.hello();
  waiting!.hello();
  await clock.advance(0);
  const release = spares.hold();
  await expect(spares.take(never)).resolves.toBe(taken);
  await spares.stop();
  expect(starting!.signal.aborted).toBe(true);
  expect(waiting!.stops).toBe(1);
  expect(taken!.stops).toBe(0);
  release();
  waiting!.die();
  await clock.advance(LATE);
  expect(processes).toHaveLength(3);
  expect(clock.pending).toBe(0);
});
