import { read } from '../kinds/language-model/models.fixture';
import { candidates, chooseToken } from './sampling';

interface Case {
  readonly temperature: number;
  readonly top_k: number;
  readonly top_p: number;
  readonly logits: readonly number[];
  /** null: may not be drawn. */
  readonly processed: readonly (number | null)[];
}

const cases = read('sampling.json') as Case[];

test('tokens that may be drawn, and how likely each is, are those of transformers in 200 settings', () => {
  expect(cases).toHaveLength(200);
  for (const { temperature, top_k, top_p, logits, processed } of cases) {
    const scores = Float32Array.from(logits);
    const found = candidates(scores, 0, scores.length, { temperature, topK: top_k, topP: top_p });
    const kept = processed.flatMap((score, id) => (score === null ? [] : [{ id, score }]));
    // Which of equally likely ones is the last to be left out, transformers leaves to torch's sorting.
    const top = Math.max(...kept.map(({ score }) => score));
    const expected = kept.map(({ score }) => Math.exp(score - top)).sort((a, b) => a - b);
    const weights = Array.from(found.weights).sort((a, b) => a - b);
    expect(weights).toHaveLength(expected.length);
    weights.forEach((weight, index) => expect(weight).toBeCloseTo(expected[index] ?? NaN, 5));
    const least = kept.reduce((low, { score }) => Math.min(low, score), Infinity);
    const certain = kept.filter(({ score }) => score > least).map(({ id }) => id);
    expect(found.ids ?? logits.map((_, id) => id)).toEqual(expect.arrayContaining(certain));
  }
});

test('frequencies of 100,000 draws are those probabilities', () => {
  const one = cases.find(
    ({ temperature, top_k, top_p }) => temperature > 0.5 && top_k === 8 && top_p > 0.9,
  );
  if (one === undefined) throw new Error('no such case');
  const scores = Float32Array.from(one.logits);
  const sampling = { temperature: one.temperature, topK: 8, topP: one.top_p, seed: 3 };
  const { ids = [], weights, total } = candidates(scores, 0, scores.length, sampling);
  const draws = 100_000;
  const counts = new Map<number, number>();
  for (let step = 0; step < draws; step += 1) {
    const id = chooseToken(scores, 0, scores.length, sampling, step);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  let chi = 0;
  ids.forEach((id, index) => {
    const expected = (draws * (weights[index] ?? 0)) / total;
    chi += ((counts.get(id) ?? 0) - expected) ** 2 / expected;
  });
  expect([...counts.keys()].every((id) => ids.includes(id))).toBe(true);
  // 7 degrees of freedom at most: beyond this in one of 10,000 cases.
  expect(chi).toBeLessThan(30);
});
