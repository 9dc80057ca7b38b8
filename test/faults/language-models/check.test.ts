import { tensorOf } from '@cabstand/tensor';
import { Stream, observe } from '../stream';
import type { Observation, Observed, ObservedTurn } from '../stream';
import { checkAnswers } from './check';
import { AnswerFigures } from './figures';
import { FORMS } from './forms';
import { ANSWER_KINDS, isKnown, makeAnswers } from './scripts';
import type { AnswerScript } from './scripts';

const [form] = FORMS;
const fitting = '{"kind":"cab","ids":[1,2,3,4,5,6,7,8]}';
const asked = { kind: 'whole', prompt: 'x', tensors: [] } as const;
const script: AnswerScript = {
  ...{ name: 'greedy-llama-0', group: 'greedy-llama', model: 'llama' },
  turns: [
    { ...asked, known: [5, 6, 7] },
    { ...asked, known: [], form: form! },
  ],
};

const record = (position: number, token: number, text: string): Observed =>
  observe({ position, text, tensors: [tensorOf('token', BigInt64Array.of(BigInt(token)), [1])] });
const end = (position: number): ObservedTurn['end'] => ({
  ...{ kind: 'ended', reason: 'completed', position },
  generation: { finish: 'stop', prompt: 1, answer: 4 },
});
const answered = (text = fitting, tokens = [5, 6, 7, 8]): Observation => ({
  script,
  turns: [
    { chunks: tokens.map((token, at) => record(at, token, `${String(at)}|`)), end: end(5) },
    { chunks: [record(5, 20, text.slice(0, 9)), record(6, 21, text.slice(9))], end: end(8) },
  ],
});
const good = answered();
const kindsOf = (observed: Observation, reference = good): string[] =>
  checkAnswers(script, observed, reference).defects.map(({ kind, what }) => `${kind} ${what}`);

test('tokens that were compared are counted: with the undisturbed run, with transformers, whole answers with their form', () => {
  expect(checkAnswers(script, good, good)).toMatchObject({
    ...{ defects: [], tokens: 6, known: 3, valid: 1, started: true },
  });
});

test('another token is wrong beside the undisturbed run, and beside transformers where both have it', () => {
  const other = answered(fitting, [5, 9, 7, 8]);
  expect(checkAnswers(script, other, good)).toMatchObject({ tokens: 5, known: 2 });
  expect(kindsOf(other)).toHaveLength(2);
  expect(kindsOf(other, other)).toEqual(['wrong turn 0, position 1: token 9, transformers has 6']);
});

test('an answer that ended by itself and is of no such form is wrong; the beginning of one is not', () => {
  const other = answered('{"kind":"cab","ids":[1]}');
  expect(kindsOf(other, other)).toEqual([expect.stringContaining('is of no such form')]);
  const cut: Observation = {
    script,
    turns: other.turns.map((turn) => ({
      ...turn,
      end: { ...end(8), generation: { finish: 'length', prompt: 1, answer: 4 } } as typeof turn.end,
    })),
  };
  expect(kindsOf(cut, cut)).toEqual([]);
  expect(checkAnswers(script, cut, cut).valid).toBe(0);
});

test('another end of an answer is wrong', () => {
  const [first, second] = good.turns as [ObservedTurn, ObservedTurn];
  const told = { ...first.end, generation: { finish: 'stop', prompt: 1, answer: 3 } };
  const other = { script, turns: [{ ...first, end: told as typeof first.end }, second] };
  expect(kindsOf(other)).toEqual([expect.stringContaining('of its answer')]);
});

test('a record without a token is wrong', () => {
  const [first, second] = good.turns as [ObservedTurn, ObservedTurn];
  const bare = { ...first, chunks: [{ position: 0, content: '0|' }, ...first.chunks.slice(1)] };
  const other = { script, turns: [bare, second] };
  expect(kindsOf(other, other)).toEqual(['wrong turn 0, position 0 has no token']);
});

test('every kind has prompts, greedy ones known answers, guided ones forms', () => {
  for (const kind of ANSWER_KINDS) {
    const turns = [0, 1, 2, 3, 4, 5].flatMap((number) => makeAnswers(kind, number).turns);
    expect(turns.some(({ known }) => known.length > 0)).toBe(isKnown(kind));
    expect(turns.every((turn) => turn.form !== undefined)).toBe(kind.startsWith('guided'));
  }
});

test('a run in which nothing was compared is none', () => {
  const figures = new AnswerFigures(['greedy-llama']);
  const watched = new Stream(script);
  expect(figures.missing).toEqual([
    ...['language models: struck', 'greedy-llama: sessions', 'greedy-llama: tokens'],
    'greedy-llama: known',
  ]);
  figures.struck(watched);
  figures.judged(checkAnswers(script, good, good), watched);
  expect(figures.missing).toEqual([]);
});
