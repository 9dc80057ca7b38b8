/** Rows of a buffer while others leave it. */
import * as fc from 'fast-check';
import { Answer } from './choice/answer';
import { ServedGraph, answerTo } from './stepper.fixture';

test.each(['CLOSE', 'CANCEL'] as const)(
  'a %s of a sequence beside those that are computed moves none of their rows',
  async (type) => {
    using served = new ServedGraph();
    const prompts = [
      [3, 1, 4],
      [1, 5, 9],
      [2, 6, 5],
    ];
    // Its reader is behind after two tokens: it keeps the first row, and is in no further step.
    served.ask(0, prompts[0] ?? [], 40, 2);
    await served.until(() => served.tokens(0).length === 2);
    served.ask(1, prompts[1] ?? [], 40);
    served.ask(2, prompts[2] ?? [], 40);
    await served.until(() => served.tokens(2).length >= 3);
    let isGone = false;
    served.graph.before = () => {
      if (isGone) return;
      isGone = true;
      served.loop.handle({ type, sequence: 0, turn: 0 });
    };
    for (const sequence of [1, 2]) {
      expect(await served.ended(sequence)).toBe('completed');
      expect(served.tokens(sequence)).toEqual(answerTo(prompts[sequence] ?? [], 40));
    }
    expect(isGone).toBe(true);
  },
);

test('a row that gives up its cache for others makes room before they are computed', async () => {
  // Both fit with 64 columns each, not with 128.
  using served = new ServedGraph(2 * 128 - 1);
  const [early, long] = [[3, 1, 4], Array.from({ length: 62 }, (_, at) => at)];
  // The turn that is first in line is the last to get a row, so it is the one to give it up.
  served.ask(0, early, 20, 0);
  served.ask(1, long, 0, 3);
  await served.until(() => served.tokens(1).length >= 1);
  served.credit(0, 1e6);
  await served.until(() => served.tokens(0).length >= 1);
  served.credit(1, 1e6);
  expect(await served.ended(0)).toBe('completed');
  expect(served.tokens(0)).toEqual(answerTo(early, 20));
  expect(await served.ended(1)).toBe('completed');
  expect(served.tokens(1)).toEqual(answerTo(long, 192 - 62));
});

test('a sequence that is closed within a turn gives up what a thread keeps for its answer', async () => {
  using served = new ServedGraph();
  const released = jest.spyOn(served.stepper, 'release');
  let isClosed = false;
  const close = jest.spyOn(Answer.prototype, 'close').mockImplementation(() => {
    isClosed = true;
  });
  try {
    served.ask(0, [3, 1, 4], 40, 2);
    await served.until(() => served.tokens(0).length === 2);
    served.loop.handle({ type: 'CLOSE', sequence: 0 });
    expect(released).toHaveBeenCalledTimes(1);
    expect(isClosed).toBe(true);
  } finally {
    close.mockRestore();
  }
});

test('a NaN in the cache of one sequence stays with it', async () => {
  using served = new ServedGraph();
  // Its answer comes to that token in the sixth place, in a row that is much longer than the other's.
  const prompt = [...Array(40).keys(), 3];
  served.graph.poison = answerTo(prompt, 6)[5];
  served.ask(0, prompt, 20, 3);
  await served.until(() => served.tokens(0).length === 3);
  const others = [
    [3, 1, 4],
    [1, 5, 9],
  ];
  others.forEach((other, index) => served.ask(index + 1, other, 40, 2));
  await served.until(() => [1, 2].every((sequence) => served.tokens(sequence).length === 2));
  for (const sequence of [0, 1, 2]) served.credit(sequence, 1e6);
  expect(await served.ended(0)).toBe('error');
  for (const [index, other] of others.entries()) {
    expect(await served.ended(index + 1)).toBe('completed');
    expect(served.tokens(index + 1)).toEqual(answerTo(other, 40));
  }
});

/** The answer to these prompts has a grammar, and what it allows is found when the test says so. */
function guided(prepare: (answer: Answer) => Promise<void> | undefined): Disposable {
  const known = new WeakMap<Answer, { length: number; asked: Promise<void> | undefined }>();
  const spy = jest.spyOn(Answer.prototype, 'prepare').mockImplementation(function (this: Answer) {
    const before = known.get(this);
    if (before?.length === this.length) return before.asked;
    const asked = prepare(this);
    known.set(this, { length: this.length, asked });
    return asked;
  });
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

function gateOf() {
  let resolve = (): void => undefined;
  let reject: (error: Error) => void = resolve;
  const promise = new Promise<void>((done, failed) => {
    [resolve, reject] = [done, failed];
  });
  return { promise, resolve, reject };
}

const PROMPTS = [
  [3, 1, 4],
  [1, 5, 9],
  [2, 6, 5],
] as const;

test.each([0, 7])(
  'a sequence whose grammar takes long after %d tokens sits out, and the others go on',
  async (tokens) => {
    using served = new ServedGraph();
    const gate = gateOf();
    using _ = guided((answer) =>
      answer.tokens[0] !== 3
        ? undefined
        : answer.length < tokens
          ? Promise.resolve()
          : gate.promise,
    );
    for (const [sequence, prompt] of PROMPTS.entries()) served.ask(sequence, prompt, 40);
    for (const sequence of [1, 2]) expect(await served.ended(sequence)).toBe('completed');
    expect(served.tokens(0)).toHaveLength(tokens);
    gate.resolve();
    expect(await served.ended(0)).toBe('completed');
    for (const [sequence, prompt] of PROMPTS.entries())
      expect(served.tokens(sequence)).toEqual(answerTo(prompt, 40));
  },
);

test.each(['CANCEL', 'failure'] as const)(
  'a sequence that sits out ends at once by a %s, and the others go on',
  async (how) => {
    using served = new ServedGraph();
    const gate = gateOf();
    using _ = guided((answer) =>
      answer.tokens[0] === 3 && answer.length === 5 ? gate.promise : undefined,
    );
    served.ask(0, PROMPTS[0], 40);
    served.ask(1, PROMPTS[1], 100, 60);
    await served.until(() => served.tokens(1).length === 60);
    if (how === 'CANCEL') served.loop.handle({ type: 'CANCEL', sequence: 0, turn: 0 });
    else gate.reject(new Error('no tokens follow'));
    expect(await served.ended(0)).toBe(how === 'CANCEL' ? 'cancelled' : 'error');
    expect(served.tokens(0)).toEqual(answerTo(PROMPTS[0], 5));
    served.credit(1, 1e6);
    expect(await served.ended(1)).toBe('completed');
    expect(served.tokens(1)).toEqual(answerTo(PROMPTS[1], 100));
    gate.resolve();
  },
);

test('whenever grammars say what may follow, and however little credit or memory there is, answers are the same', async () => {
  const run = fc.record({
    waits: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 30 }),
    columns: fc.constantFrom(3 * 128 - 1, 16 * 256),
    credit: fc.constantFrom(1, 3, 1e6),
  });
  await fc.assert(
    fc.asyncProperty(run, async ({ waits, columns, credit }) => {
      using served = new ServedGraph(columns);
      let asked = 0;
      using _ = guided(async () => {
        const turns = waits[asked++ % waits.length] ?? 0;
        for (let turn = 0; turn < turns; turn += 1)
          await new Promise((resolve) => setImmediate(resolve));
        // Longer than anybody waits.
        if (turns === 12) await new Promise((resolve) => setTimeout(resolve, 7));
      });
      for (const [sequence, prompt] of PROMPTS.entries())
        served.ask(sequence, prompt, 20 + 20 * sequence, credit);
      for (const [sequence, prompt] of PROMPTS.entries()) {
        const count = 20 + 20 * sequence;
        for (let given = credit; given < count; given += credit) {
          await served.until(() => served.tokens(sequence).length === given);
          served.credit(sequence, credit);
        }
        expect(await served.ended(sequence)).toBe('completed');
        expect(served.tokens(sequence)).toEqual(answerTo(prompt, count));
      }
    }),
    { numRuns: 20 },
  );
});
