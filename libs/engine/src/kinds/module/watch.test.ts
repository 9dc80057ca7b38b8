import { Flags } from './flags';
import type { SessionFlags } from './flags';
import { Watch } from './watch';

interface Told {
  readonly what: string;
  readonly sequence: number;
  readonly at: number;
}

/** A watch over sessions 1 to 3, whose time is moved in steps of 100 ms. */
class Bench {
  readonly told: Told[] = [];
  readonly watch: Watch;
  readonly #flags = new Flags(Flags.allocate(4));
  /** Whether the thread takes messages. */
  answers = true;
  now = 0;

  constructor(exclusive = false) {
    const tell = (what: string, sequence: number): void => {
      this.told.push({ what, sequence, at: this.now });
    };
    this.watch = new Watch({ silentMs: 10_000, graceMs: 2000, exclusive }, this.#flags, {
      silenced: (sequence) => tell('silenced', sequence),
      revoke: (sequence) => tell('revoke', sequence),
      giveUp: (sequence) => tell('give up', sequence),
      ask: () => {
        if (this.answers) this.#flags.answer();
      },
      blocked: () => tell('blocked', 0),
    });
  }

  flags(sequence: number): SessionFlags {
    return this.#flags.at(sequence);
  }

  /** A session whose code has begun. */
  begin(sequence: number): SessionFlags {
    const flags = this.flags(sequence);
    this.watch.began(sequence, flags, this.now);
    flags.alive();
    return flags;
  }

  /** To what it was asked before. */
  answerLate(): void {
    this.#flags.answer();
  }

  /** Nobody looks for so long; what happens meanwhile is told at its end, before the first look. */
  sleep(ms: number, wake: () => void = () => undefined): void {
    this.now += ms;
    wake();
    this.watch.look(this.now);
  }

  pass(ms: number, each: () => void = () => undefined): void {
    for (const end = this.now + ms; this.now < end;) {
      this.now += 100;
      each();
      this.watch.look(this.now);
    }
  }
}

test('code that ends within the grace is left alone, and later code is revoked and then given up', () => {
  const bench = new Bench();
  for (const sequence of [1, 2]) bench.begin(sequence).stop('cancelled');
  bench.watch.stopped(1, 1000, bench.now);
  bench.watch.stopped(2, 1000, bench.now);
  bench.pass(900);
  bench.watch.ended(1);
  bench.pass(5000);
  expect(bench.told.slice(0, 2)).toEqual([
    { what: 'revoke', sequence: 2, at: 1000 },
    { what: 'give up', sequence: 2, at: 2000 },
  ]);
  expect(bench.told.every(({ sequence }) => sequence === 2)).toBe(true);
});

test('a thread that answers a revocation is not given up', () => {
  const bench = new Bench();
  bench.begin(1).stop('stopped');
  bench.watch.stopped(1, 1000, bench.now);
  bench.pass(1500);
  expect(bench.watch.idle).toBe(false);
  bench.watch.ended(1);
  expect(bench.watch.idle).toBe(true);
  bench.pass(5000);
  expect(bench.told).toEqual([{ what: 'revoke', sequence: 1, at: 1000 }]);
});

test('an exclusive engine is given up as soon as the grace is over', () => {
  const bench = new Bench(true);
  bench.begin(1).stop('stopped');
  bench.watch.stopped(1, 1000, bench.now);
  bench.pass(1000);
  expect(bench.told).toEqual([{ what: 'give up', sequence: 1, at: 1000 }]);
});

test('a second stop may shorten the grace, and never makes it longer', () => {
  const bench = new Bench();
  for (const sequence of [1, 2]) bench.begin(sequence).stop('cancelled');
  bench.watch.stopped(1, 1000, bench.now);
  bench.watch.stopped(1, 300, bench.now);
  bench.watch.stopped(2, 1000, bench.now);
  bench.watch.stopped(2, 9000, bench.now);
  bench.pass(1000);
  expect(bench.told).toEqual([
    { what: 'revoke', sequence: 1, at: 300 },
    { what: 'revoke', sequence: 2, at: 1000 },
  ]);
});

test('silence is told after a second, and ends the turn as timed out once it is too long', () => {
  const bench = new Bench();
  const silent = bench.begin(1);
  const lively = bench.begin(2);
  const waiting = bench.begin(3);
  waiting.waiting = true;
  bench.pass(5000, () => lively.alive());
  // It was heard of first when it was looked at first.
  expect(bench.watch.silent(bench.now)).toEqual([{ sequence: 1, ms: 4900 }]);
  bench.pass(7000, () => lively.alive());
  expect(bench.told).toEqual([{ what: 'silenced', sequence: 1, at: 10_200 }]);
  expect(silent.stopped).toBe('timed_out');
  expect([lively.stopped, waiting.stopped]).toEqual([undefined, undefined]);
  expect(bench.watch.silent(bench.now)).toEqual([]);
  bench.pass(3500, () => lively.alive());
  expect(bench.told.slice(1, 3)).toEqual([
    { what: 'revoke', sequence: 1, at: 12_200 },
    { what: 'give up', sequence: 1, at: 13_200 },
  ]);
});

test('a turn whose code has not begun is not silent: the thread is another one’s', () => {
  const bench = new Bench();
  bench.watch.began(1, bench.flags(1), bench.now);
  bench.pass(60_000);
  expect(bench.told).toEqual([]);
  expect(bench.watch.silent(bench.now)).toEqual([]);
});

test('a stop that came before the turn has the manifest’s grace from its begin', () => {
  const bench = new Bench();
  bench.flags(1).stop('evicted');
  bench.pass(5000);
  bench.begin(1);
  bench.pass(2000);
  expect(bench.told).toEqual([{ what: 'revoke', sequence: 1, at: 7000 }]);
});

test('a thread that does not answer while all sessions wait is blocked, by whomever', () => {
  const bench = new Bench();
  bench.begin(1).waiting = true;
  bench.watch.began(2, bench.flags(2), bench.now);
  bench.pass(60_000);
  expect(bench.told).toEqual([]);
  bench.answers = false;
  bench.pass(12_000);
  expect(bench.told[0]).toMatchObject({ what: 'blocked' });
  const [{ at } = { at: 0 }] = bench.told;
  // It was asked up to a second ago.
  expect(at).toBeGreaterThan(70_000);
  expect(at).toBeLessThanOrEqual(71_200);
});

test('a thread that gives signs of life of a session, or answers late, is not blocked', () => {
  const bench = new Bench();
  const waiting = bench.begin(1);
  waiting.waiting = true;
  bench.answers = false;
  // A timer of its code computes, and says so.
  bench.pass(30_000, () => waiting.alive());
  bench.pass(9000);
  bench.answers = true;
  bench.answerLate();
  bench.pass(60_000);
  expect(bench.told).toEqual([]);
});

test('who is in the author’s hands is blamed, and not the thread', () => {
  const bench = new Bench();
  bench.begin(1);
  bench.begin(2).waiting = true;
  bench.answers = false;
  bench.pass(13_500);
  expect(bench.told.slice(0, 3).map(({ what, sequence }) => [what, sequence])).toEqual([
    ['silenced', 1],
    ['revoke', 1],
    ['give up', 1],
  ]);
});

describe('a session that is cancelled while another one has the thread', () => {
  /** One that waits, one that computes and says so as often, and a thread that answers nobody meanwhile. */
  function busy(each: number): {
    bench: Bench;
    waits: SessionFlags;
    compute: (ms: number) => void;
  } {
    const bench = new Bench();
    const waits = bench.begin(1);
    waits.waiting = true;
    const computes = bench.begin(2);
    bench.answers = false;
    const compute = (ms: number): void =>
      bench.pass(ms, () => {
        if (bench.now % each === 0) computes.alive();
      });
    return { bench, waits, compute };
  }

  test.each([100, 3000])('costs nobody the engine, with a sign of life each %i ms', (each) => {
    const { bench, waits, compute } = busy(each);
    compute(1500);
    waits.stop('cancelled');
    bench.watch.stopped(1, 1000, bench.now);
    compute(60_000);
    expect(bench.told).toEqual([]);
    // Then it has the rest of its grace.
    bench.answers = true;
    bench.answerLate();
    waits.waiting = false;
    waits.alive();
    compute(800);
    expect(bench.told).toEqual([]);
    compute(400);
    expect(bench.told).toMatchObject([{ what: 'revoke', sequence: 1 }]);
  });

  test('neither where it waits for something of its own', () => {
    const { bench, waits, compute } = busy(100);
    waits.waiting = false;
    waits.stop('cancelled');
    bench.watch.stopped(1, 1000, bench.now);
    compute(60_000);
    expect(bench.told).toEqual([]);
  });

  test('neither where its code has not begun', () => {
    const { bench, compute } = busy(100);
    bench.flags(3).stop('cancelled');
    bench.watch.began(3, bench.flags(3), bench.now);
    compute(60_000);
    expect(bench.told).toEqual([]);
  });

  test('nor once it was revoked', () => {
    const { bench, waits, compute } = busy(100);
    bench.answers = true;
    waits.waiting = false;
    waits.stop('cancelled');
    bench.watch.stopped(1, 1000, bench.now);
    compute(1000);
    bench.answers = false;
    compute(60_000);
    expect(bench.told).toEqual([{ what: 'revoke', sequence: 1, at: 1000 }]);
  });

  test('and that one is silent: it is the other one that is blamed', () => {
    const { bench, waits, compute } = busy(Infinity);
    waits.stop('cancelled');
    bench.watch.stopped(1, 1000, bench.now);
    compute(14_000);
    expect(bench.told.slice(0, 3).map(({ what, sequence }) => [what, sequence])).toEqual([
      ['silenced', 2],
      ['revoke', 2],
      ['give up', 2],
    ]);
  });

  test('and the thread is blocked by nobody in particular: it is blocked after its own limit', () => {
    const bench = new Bench();
    const waits = bench.begin(1);
    waits.waiting = true;
    bench.answers = false;
    waits.stop('cancelled');
    bench.watch.stopped(1, 1000, bench.now);
    bench.pass(9900);
    expect(bench.told).toEqual([]);
    bench.pass(1000);
    expect(bench.told[0]).toMatchObject({ what: 'blocked' });
  });

  test('and the thread answers: its grace passes, whatever it waits for', () => {
    const { bench, waits, compute } = busy(100);
    bench.answers = true;
    waits.stop('cancelled');
    bench.watch.stopped(1, 1000, bench.now);
    compute(1000);
    expect(bench.told).toEqual([{ what: 'revoke', sequence: 1, at: 1000 }]);
  });

  test('and it has the thread itself: it is given up, whoever else does not wait', () => {
    const { bench, waits } = busy(Infinity);
    waits.waiting = false;
    waits.stop('cancelled');
    bench.watch.stopped(1, 1000, bench.now);
    // It asks whether to stop, and goes on.
    bench.pass(2500, () => waits.alive());
    expect(bench.told.slice(0, 2)).toMatchObject([
      { what: 'revoke', sequence: 1 },
      { what: 'give up', sequence: 1 },
    ]);
  });
});

describe('time in which the watch itself did not run', () => {
  test.each<[string, (bench: Bench) => void]>([
    ['a machine that stood still', (bench) => bench.sleep(3_600_000)],
    [
      'a machine that has no time for it',
      (bench) => {
        for (let looks = 0; looks < 30; looks += 1) bench.sleep(20_000);
      },
    ],
    [
      'one that stood still while a turn began and another was cancelled',
      (bench) => {
        bench.sleep(60_000, () => bench.begin(3));
        bench.sleep(60_000, () => bench.watch.stopped(3, 1000, bench.now));
        bench.watch.ended(3);
      },
    ],
  ])('counts for nobody: %s', (_, stand) => {
    const bench = new Bench();
    bench.begin(1);
    bench.begin(2).stop('cancelled');
    bench.watch.stopped(2, 5000, bench.now);
    bench.pass(1000);
    bench.answers = false;
    stand(bench);
    expect(bench.told).toEqual([]);
    expect(bench.watch.silent(bench.now).every(({ ms }) => ms < 5000)).toBe(true);
    // It goes on where it was.
    bench.pass(5000);
    expect(bench.told[0]).toMatchObject({ what: 'revoke', sequence: 2 });
  });
});

test('where nothing runs nobody asks, and a blocked thread has all of its time from the next turn on', () => {
  const bench = new Bench();
  bench.answers = false;
  bench.pass(60_000);
  bench.watch.began(1, bench.flags(1), bench.now);
  bench.pass(10_000);
  expect(bench.told).toEqual([]);
  bench.pass(1000);
  expect(bench.told[0]).toMatchObject({ what: 'blocked' });
});
