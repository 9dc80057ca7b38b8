import { chooseToken, philox, uniform } from './sampling';

test('philox gives the published vectors', () => {
  const hex = (numbers: readonly number[]): string[] => numbers.map((one) => one.toString(16));
  expect(hex(philox(0, 0, 0))).toEqual(['ff1dae59', '6cd10df2']);
  expect(hex(philox(0xffffffff, 0xffffffff, 0xffffffff))).toEqual(['2c3f628b', 'ab4fd7ad']);
  expect(hex(philox(0x243f6a88, 0x85a308d3, 0x13198a2e))).toEqual(['dd7ce038', 'f62a4c12']);
});

test('draws follow the probabilities and depend on seed and step alone', () => {
  const scores = Float32Array.from([Math.log(1), Math.log(2), Math.log(5)]);
  const counts = [0, 0, 0];
  const draw = (seed: number, step: number, topK = 0): number =>
    chooseToken(scores, 0, 3, { temperature: 1, topK, topP: 1, seed }, step);
  for (let step = 0; step < 8000; step += 1)
    counts[draw(7, step)] = (counts[draw(7, step)] ?? 0) + 1;
  expect(counts.map((count) => Math.round(count / 500) / 2)).toEqual([1, 2, 5]);
  expect(Array.from({ length: 200 }, (_, step) => draw(7, step, 1)).every((id) => id === 2)).toBe(
    true,
  );
  expect(new Set(Array.from({ length: 200 }, (_, step) => draw(7, step, 2)))).toEqual(
    new Set([1, 2]),
  );
  expect(uniform(2 ** 40, 1)).not.toBe(uniform(0, 1));
});

test('temperature 0 takes the first of the most likely, within its own row', () => {
  const greedy = { temperature: 0, topK: 0, topP: 1, seed: 0 };
  expect(chooseToken(Float32Array.of(9, 1, 3, 3), 1, 3, greedy, 0)).toBe(1);
});

test.each([
  ['NaN', [NaN, NaN, NaN]],
  ['-Infinity', [-Infinity, -Infinity, -Infinity]],
  ['Infinity', [1, Infinity, 2]],
])('scores of %s choose no token', (shown, scores) => {
  for (const temperature of [0, 1])
    for (const [topK, topP] of [
      [0, 1],
      [2, 0.9],
    ] as const)
      expect(() =>
        chooseToken(Float32Array.from(scores), 0, 3, { temperature, topK, topP, seed: 0 }, 0),
      ).toThrow(
        expect.objectContaining({
          reason: 'MODEL_FAILED',
          message: `the scores of the next token are no finite numbers: ${shown} is among them`,
        }) as Error,
      );
});

test('a score of NaN among others cannot be drawn beside, and one of -Infinity is never drawn', () => {
  const drawn = { temperature: 1, topK: 0, topP: 1, seed: 0 };
  expect(() => chooseToken(Float32Array.of(1, NaN, 2), 0, 3, drawn, 0)).toThrow('NaN');
  const chosen = Array.from({ length: 100 }, (_, step) =>
    chooseToken(Float32Array.of(1, -Infinity, 2), 0, 3, drawn, step),
  );
  expect(new Set(chosen)).toEqual(new Set([0, 2]));
});
