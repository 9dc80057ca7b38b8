import { candidates, chooseToken } from '../../../output/sampling';
import { read } from '../models.fixture';
import { ScoreEdits } from './penalties';
import { choiceSettings } from './settings';
import type { ChoiceSettings } from './settings';
import { Answer } from './answer';

interface Case {
  readonly settings: Readonly<Record<string, number | Record<string, number>>>;
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
  readonly exact: boolean;
  readonly logits: readonly number[];
  readonly processed: readonly (number | null)[];
}

const cases = read('choices.json') as Case[];

const program = {
  cache: { dtype: 'float32', tensors: [] },
  logitsDtype: 'float32',
  rounding: 'fine',
  ...{ takesMask: true, takesPositions: true, vocabularySize: 64, contextLength: 64 },
  ...{ endTokens: [2], tokenizer: undefined, chat: undefined },
} as const;

const settingsOf = ({ settings }: Case, more: object = {}): ChoiceSettings =>
  choiceSettings({ ...settings, ...more }, program, 40);

/** Scores as they are chosen from, after an answer so far. */
function edited(one: Case): { scores: Float32Array; settings: ChoiceSettings } {
  const settings = settingsOf(one);
  const tokens = [...one.prompt];
  const edits = new ScoreEdits(settings, tokens);
  for (const id of one.answer) {
    tokens.push(id);
    edits.took(id);
  }
  const range = { scores: Float32Array.from([9, ...one.logits, 9]), offset: 1, count: 64 };
  const { scores, offset, count } = edits.apply(range, undefined);
  return { scores: Float32Array.from(scores.slice(offset, offset + count)), settings };
}

test('tokens that may be drawn, and how likely each is, are those of transformers in 200 settings of everything', () => {
  expect(cases).toHaveLength(200);
  let exact = 0;
  for (const one of cases) {
    const { scores, settings } = edited(one);
    const found = candidates(scores, 0, 64, settings.sampling);
    const kept = one.processed.flatMap((score, id) => (score === null ? [] : [{ id, score }]));
    const ids = found.ids ?? Array.from(scores.keys()).filter((id) => scores[id] !== -Infinity);
    if (!one.exact) continue;
    exact += 1;
    expect([one.settings, ids]).toEqual([one.settings, kept.map(({ id }) => id)]);
    const top = Math.max(...kept.map(({ score }) => score));
    const total = kept.reduce((sum, { score }) => sum + Math.exp(score - top), 0);
    for (const { id, score } of kept) {
      const weight = found.weights[found.ids === undefined ? id : ids.indexOf(id)] ?? NaN;
      expect(weight / found.total).toBeCloseTo(Math.exp(score - top) / total, 5);
    }
  }
  expect(exact).toBeGreaterThan(180);
});

test('the most likely token is that of transformers, whatever is asked for beside', () => {
  for (const one of cases) {
    const top = Math.max(...one.processed.map((score) => score ?? -Infinity));
    const answer = new Answer(
      settingsOf(one, { temperature: 0 }),
      one.prompt,
      undefined,
      undefined,
    );
    for (const id of one.answer) answer.again(id);
    const range = { scores: Float32Array.from(one.logits), offset: 0, count: 64 };
    const { token } = answer.choose(range);
    // Typical tokens need not have the most likely one among them.
    if (one.settings['typical_p'] === undefined) expect(one.processed[token]).toBe(top);
  }
});

test('frequencies of 100,000 draws are the exact probabilities', () => {
  const one = cases.find(
    ({ settings, processed, exact }) =>
      exact &&
      settings['min_p'] !== undefined &&
      settings['repetition_penalty'] !== undefined &&
      processed.filter((score) => score !== null).length > 8,
  );
  if (one === undefined) throw new Error('no such case');
  const weights = one.processed.map((score) => (score === null ? 0 : Math.exp(score)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const { scores, settings } = edited(one);
  const draws = 100_000;
  const counts = new Array<number>(64).fill(0);
  for (let step = 0; step < draws; step += 1) {
    const token = chooseToken(scores, 0, 64, { ...settings.sampling, seed: 3 }, step);
    counts[token] = (counts[token] ?? 0) + 1;
  }
  let chi = 0;
  let freedom = -1;
  weights.forEach((weight, id) => {
    const expected = (draws * weight) / total;
    const count = counts[id] ?? 0;
    if (weight === 0) expect(count).toBe(0);
    else {
      chi += (count - expected) ** 2 / expected;
      freedom += 1;
    }
  });
  // Beyond four deviations in one of 10,000 cases or so.
  expect(chi).toBeLessThan(freedom + 4 * Math.sqrt(2 * freedom) + 4);
});
