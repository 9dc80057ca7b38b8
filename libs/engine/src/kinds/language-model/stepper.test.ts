/** Rows of a buffer while others leave it. */
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
