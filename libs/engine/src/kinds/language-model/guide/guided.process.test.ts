import Ajv2020 from 'ajv/dist/2020';
import * as fc from 'fast-check';
import { tensorOf } from '@cabstand/tensor';
import type { SnapshotItem, TurnEnd } from '../../../frames/types';
import { ALL_NAMES, NAMES, codecOf } from '../models.fixture';
import { ids, started, textOf, tokensOf } from '../served.fixture';

jest.setTimeout(600_000);

const PROMPT = tensorOf('input_ids', BigInt64Array.of(9n, 4n, 77n), [3]);
/** Such answers seldom end by themselves: strings and numbers go on at random. */
const MOST_TOKENS = 90;

const name = fc.constantFrom('a', 'id', 'two words', 'Ünïcode', "it's");
const { schema: schemas } = fc.letrec<{ schema: object }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom<object>(
      ...[{ type: 'boolean' }, { type: 'null' }, { type: 'integer' }, { type: 'string' }],
      ...[
        { type: 'integer', minimum: -3, maximum: 17 },
        { type: 'string', maxLength: 4 },
      ],
      ...[
        { type: 'string', pattern: '^[a-f]{2,5}$' },
        { type: 'string', pattern: '^(\\S.[^a]|b\\d)$' },
        { type: 'string', format: 'date' },
      ],
      ...[{ enum: ['x', 2, null, 'é"\\'] }, { const: { k: [1, 'v'] } }, { type: 'number' }],
      ...[
        { type: ['string', 'null'], maxLength: 3 },
        { type: 'string', minLength: 2, maxLength: 6 },
      ],
    ),
    fc
      .record({
        items: tie('schema'),
        minItems: fc.integer({ min: 0, max: 1 }),
        maxItems: fc.integer({ min: 1, max: 3 }),
      })
      .map((rest) => ({ type: 'array', ...rest })),
    fc
      .record({
        fields: fc.uniqueArray(fc.tuple(name, tie('schema'), fc.boolean()), {
          selector: ([key]) => key,
          maxLength: 4,
        }),
        closed: fc.constantFrom({}, { additionalProperties: false }),
      })
      .map(({ fields, closed }) => ({
        type: 'object',
        properties: Object.fromEntries(fields.map(([key, one]) => [key, one])),
        required: fields.filter(([, , needed]) => needed).map(([key]) => key),
        ...closed,
      })),
    fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    tie('schema').map((one) => ({ allOf: [one] })),
  ),
}));

const topSchemas = fc.oneof(
  { arbitrary: schemas, weight: 4 },
  { arbitrary: schemas.map((d) => ({ $defs: { d }, $ref: '#/$defs/d' })), weight: 1 },
);

const ajv = new Ajv2020({ strict: false, validateFormats: false });

const parametersOf = (one: object, seed: number): Record<string, unknown> => ({
  ...{
    json_schema: one,
    seed,
    temperature: 1.2,
    max_tokens: MOST_TOKENS,
    repetition_penalty: 1.05,
  },
});

const finishOf = (end: TurnEnd): string | undefined =>
  end.reason === 'completed' ? end.generation?.finish : end.reason;

test.each(NAMES)('%s: whatever ends by itself is of its schema, for 100 schemas', async (model) => {
  await using engine = await started(model, { verify: false });
  const given = fc.sample(topSchemas, { numRuns: 100, seed: model.length });
  let ended = 0;
  for (let from = 0; from < given.length; from += 10) {
    const some = given.slice(from, from + 10);
    for (const [index, one] of some.entries()) {
      engine.open(from + index);
      engine.turn(from + index, [PROMPT], { parameters: parametersOf(one, from + index) });
    }
    for (const [index, one] of some.entries()) {
      const { end } = await engine.ended(from + index);
      const text = textOf(engine, from + index);
      engine.send({ type: 'CLOSE', sequence: from + index });
      const told = { schema: JSON.stringify(one), text, end };
      expect({ ...told, finish: finishOf(end) }).toEqual({
        ...told,
        finish: expect.stringMatching(/^(stop|length)$/) as string,
      });
      if (finishOf(end) !== 'stop') continue;
      ended += 1;
      const valid = ajv.compile(one)(JSON.parse(text));
      expect({ ...told, valid }).toEqual({ ...told, valid: true });
    }
  }
  expect(ended).toBeGreaterThan(50);
});

test.each(NAMES)(
  '%s: a guided answer goes on in another engine when its own is killed',
  async (model) => {
    const first = await started(model, { verify: false });
    await using second = await started(model, { verify: false });
    try {
      const one = {
        type: 'object',
        properties: {
          kind: { enum: ['cab', 'stand'] },
          ids: {
            type: 'array',
            items: { type: 'integer', minimum: 0, maximum: 999 },
            minItems: 3,
            maxItems: 5,
          },
          word: { type: 'string', pattern: '^[a-z]{3,9}$' },
        },
        required: ['kind', 'ids', 'word'],
      };
      const whole = new Map<number, number[]>();
      const restores = new Map<number, Buffer>();
      for (const seed of [1, 2, 3, 4, 5]) {
        const parameters = parametersOf(one, seed);
        first.open(seed);
        first.turn(seed, [PROMPT], { parameters });
        expect(finishOf((await first.ended(seed)).end)).toBe('stop');
        whole.set(seed, tokensOf(first, seed));
        first.open(10 + seed, 3 * seed);
        first.turn(10 + seed, [PROMPT], { parameters });
        await first.until(() => first.chunks(10 + seed).length === 3 * seed);
        first.send({ type: 'SNAPSHOT', sequence: 10 + seed });
        const find = (): SnapshotItem | undefined =>
          first.of(10 + seed).find((item): item is SnapshotItem => item.kind === 'snapshot');
        await first.until(() => find() !== undefined);
        restores.set(seed, find()?.data ?? Buffer.alloc(0));
      }
      first.child.kill('SIGKILL');
      await first.exited;
      for (const [seed, restore] of restores) {
        const parameters = parametersOf(one, seed);
        second.open(seed, 1e6, 1e12, { restore });
        second.turn(seed, [PROMPT], { parameters, continued: true });
        expect(finishOf((await second.ended(seed)).end)).toBe('stop');
        const tokens = whole.get(seed) ?? [];
        expect(tokensOf(second, seed)).toEqual(tokens.slice(3 * seed));
        const text = textOf(first, 10 + seed) + textOf(second, seed);
        expect(text).toBe(textOf(first, seed));
        expect(ajv.validate(one, JSON.parse(text))).toBe(true);
      }
    } finally {
      await first[Symbol.asyncDispose]();
    }
  },
);

test.each(ALL_NAMES)(
  '%s: what half a character of the prompt leaves is no part of a guided answer',
  async (model) => {
    await using engine = await started(model, { verify: false });
    const codec = await codecOf(model);
    const half = codec.encode('x 👩').slice(0, -1);
    const prompts = [half, [...half, ...half.slice(-1), ...half.slice(-1), ...half.slice(-1)]];
    for (const [index, prompt] of prompts.entries()) {
      engine.open(index);
      const parameters = { regex: '(é|ü){5}#', temperature: 1, max_tokens: MOST_TOKENS };
      engine.turn(index, [ids(prompt)], { parameters });
      expect(finishOf((await engine.ended(index)).end)).toBe('stop');
      expect(textOf(engine, index)).toMatch(/^[éü]{5}#$/);
    }
  },
);

test('expressions, choices and grammars are followed, and hostile ones are refused while others go on', async () => {
  await using engine = await started('gpt2', { verify: false });
  const cases: [object, RegExp][] = [
    [{ regex: '[0-9]{3}-[a-c]+' }, /^[0-9]{3}-[a-c]+$/],
    [{ choice: ['a router', 'a hoster', 'say "é"\n'] }, /^(a router|a hoster|say "é"\n)$/],
    [{ grammar: 'root ::= part ("," part)*\npart ::= [xyz] [0-9]' }, /^[xyz][0-9](,[xyz][0-9])*$/],
  ];
  for (const [index, [guide, expected]] of cases.entries())
    for (let seed = 0; seed < 8; seed += 1) {
      const sequence = 10 * index + seed;
      engine.open(sequence);
      const parameters = { ...guide, seed, temperature: 1, max_tokens: MOST_TOKENS, min_tokens: 2 };
      engine.turn(sequence, [PROMPT], { parameters });
      const { end } = await engine.ended(sequence);
      if (finishOf(end) === 'stop') expect(textOf(engine, sequence)).toMatch(expected);
      else expect(finishOf(end)).toBe('length');
    }
  const refused: [object, string, string][] = [
    [{ regex: '(' }, 'PARAMETER_INVALID', 'parameter regex'],
    [{ grammar: 'root ::= missing' }, 'PARAMETER_INVALID', '"missing" is not defined'],
    [{ json_schema: { type: 'nope' } }, 'PARAMETER_INVALID', 'parameter json_schema/type'],
    [{ json_schema: { not: {} } }, 'PARAMETER_INVALID', 'parameter json_schema/not'],
    [{ regex: 'a', choice: ['b'] }, 'PARAMETER_INVALID', 'only one of'],
    [{ regex: 'a', ignore_eos: true }, 'PARAMETER_INVALID', 'parameter ignore_eos'],
  ];
  for (const [index, [guide, reason, expected]] of refused.entries()) {
    const sequence = 100 + index;
    engine.open(sequence);
    engine.turn(sequence, [PROMPT], { parameters: { ...guide } });
    const { end } = await engine.ended(sequence);
    expect(end).toMatchObject({ reason: 'error', steps: 0, error: { reason } });
    if (end.reason === 'error') expect(end.error.message).toContain(expected);
    expect(engine.chunks(sequence)).toEqual([]);
  }
});
