/** Sessions of language models: how the next token is chosen, of which model. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { tensorOf } from '@cabstand/tensor';
import { LANGUAGE_MODELS } from '@cabstand/testing';
import { Random } from '../random';
import type { Script, ScriptTurn } from '../scripts';
import { FORMS } from './forms';
import type { Form } from './forms';

/** The most likely token; drawn by a seed; drawn by a seed among those that keep to a form. */
const WAYS = ['greedy', 'drawn', 'guided'] as const;
type Way = (typeof WAYS)[number];

/** Caches that grow, with positions and with rotations, and one of a fixed size. */
const KNOWN_MODELS = ['gpt2', 'llama', 'llama-gqa'] as const;
/** Of 4 and 8 bits: what is computed again has to be divided as it was. Each processor has answers of its own. */
const ROUNDED_MODELS = ['llama-int4', 'gpt2-int8'] as const;
export const ANSWER_MODELS = [...KNOWN_MODELS, ...ROUNDED_MODELS] as const;
type AnswerModel = (typeof ANSWER_MODELS)[number];

export type AnswerKind = `${Way}-${AnswerModel}`;

export const ANSWER_KINDS: readonly AnswerKind[] = ANSWER_MODELS.flatMap((model) =>
  WAYS.map((way) => `${way}-${model}` as const),
);

/** Whether it is known how answers of this kind begin. */
export const isKnown = (kind: string): boolean =>
  KNOWN_MODELS.some((model) => kind === `greedy-${model}`);

export type AnswerTurn = Extract<ScriptTurn, { kind: 'whole' }> & {
  /** With which tokens transformers begins its answer; empty where that was not asked. */
  readonly known: readonly number[];
  /** What its text is of, if it ends by itself. */
  readonly form?: Form;
};

export interface AnswerScript extends Script {
  readonly turns: readonly AnswerTurn[];
}

interface Greedy {
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
}

/** Of all of them. */
const CONTEXT = 256;
const MOST_TOKENS = 120;

const TEXTS = [
  'A router knows',
  'The cab stand is empty, for',
  'Every hoster that dies',
  'Zürich – 👩‍👩‍👧 and',
];

/** Beside the seed: those that look at the answer so far have to be given it wherever it goes on. */
const DRAWS: readonly Readonly<Record<string, unknown>>[] = [
  { temperature: 1.2, top_k: 60, top_p: 0.95 },
  { temperature: 0.9, repetition_penalty: 1.3 },
  { temperature: 1.1, frequency_penalty: 0.7, presence_penalty: 0.4, min_p: 0.02 },
  { temperature: 1.3, no_repeat_ngram_size: 2, typical_p: 0.95 },
];

const greedyOf = (model: (typeof KNOWN_MODELS)[number]): readonly Greedy[] =>
  JSON.parse(readFileSync(path.join(LANGUAGE_MODELS, `${model}-greedy.json`), 'utf8')) as Greedy[];

const answers = new Map<AnswerModel, readonly Greedy[]>([
  ...KNOWN_MODELS.map((model) => [model, greedyOf(model)] as const),
  ...ROUNDED_MODELS.map(
    (model) => [model, greedyOf('gpt2').map(({ prompt }) => ({ prompt, tokens: [] }))] as const,
  ),
]);

/** The script of that kind and number. */
export function makeAnswers(kind: AnswerKind, number: number): AnswerScript {
  const random = new Random(number * 131 + ANSWER_KINDS.indexOf(kind));
  const way = WAYS.find((one) => kind.startsWith(one))!;
  const model = ANSWER_MODELS.find((one) => kind === `${way}-${one}`)!;
  const turn = (at: number): AnswerTurn => {
    const known = random.pick(answers.get(model) ?? []);
    // Every script has a turn of a known prompt, whose answer follows from nothing that was made here.
    const asked = at === 0 || random.next() < 0.6 ? known.prompt : random.pick(TEXTS);
    const length = typeof asked === 'string' ? 40 : asked.length;
    const input =
      typeof asked === 'string'
        ? { prompt: asked, tensors: [] }
        : {
            prompt: undefined,
            tensors: [tensorOf('input_ids', BigInt64Array.from(asked, BigInt), [length])],
          };
    const max_tokens = Math.min(MOST_TOKENS, CONTEXT - length);
    const whole = { kind: 'whole', ...input, known: [] } as const;
    const seed = random.int(0, 1e6);
    switch (way) {
      case 'greedy':
        return {
          ...whole,
          parameters: { max_tokens, temperature: 0 },
          known: typeof asked === 'string' ? [] : known.tokens,
        };
      case 'drawn':
        return { ...whole, parameters: { max_tokens, seed, ...random.pick(DRAWS) } };
      case 'guided': {
        const form = random.pick(FORMS);
        return { ...whole, parameters: { max_tokens, seed, temperature: 1, ...form.asked }, form };
      }
    }
  };
  return {
    name: `${kind}-${String(number)}`,
    group: kind,
    model,
    turns: Array.from({ length: random.int(2, 4) }, (_, at) => turn(at)),
  };
}
