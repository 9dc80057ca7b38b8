import { z } from 'zod';
import { sampleArguments } from './sample-arguments';

const object = (properties: object, more: object = {}) => ({
  ...{ type: 'object', properties, required: Object.keys(properties), additionalProperties: false },
  ...more,
});

test.each<[string, Record<string, unknown>]>([
  ['texts', object({ text: { type: 'string', minLength: 30, maxLength: 32 } })],
  ['short texts', object({ text: { type: 'string', maxLength: 2 } })],
  ['whole numbers', object({ n: { type: 'integer', minimum: 3, maximum: 4 } })],
  ['steps', object({ n: { type: 'number', multipleOf: 0.5, exclusiveMinimum: 1 } })],
  ['negative numbers', object({ n: { type: 'number', maximum: -2 } })],
  ['lists', object({ list: { type: 'array', items: { type: 'boolean' }, minItems: 2 } })],
  ['alternatives', object({ a: { anyOf: [{ type: 'integer' }, { type: 'null' }] } })],
  ['objects in objects', object({ a: object({ b: { const: 'x' } }) })],
  [
    'what zod makes',
    z.toJSONSchema(z.strictObject({ a: z.boolean().default(true), b: z.enum(['x']) })),
  ],
])('arguments are what the schema takes: %s', (_, schema) => {
  const samples = sampleArguments(schema);
  expect(samples.length).toBeGreaterThan(0);
  const parsed = z.fromJSONSchema(schema);
  for (const sample of samples) expect(parsed.safeParse(sample)).toMatchObject({ success: true });
});

test('each choice is tried, and what was switched on is switched off again', () => {
  expect(sampleArguments(object({ on: { type: 'boolean', default: true } }))).toEqual([
    { on: true },
    { on: false },
  ]);
  expect(sampleArguments(object({ to: { enum: ['a', 'b', 'c', 'd'] } }))).toHaveLength(3);
  expect(sampleArguments(object({ n: { type: 'integer', examples: [40] } }))).toEqual([{ n: 40 }]);
});

test('without a schema there is one call, and where nothing can be made there is none', () => {
  expect(sampleArguments(undefined)).toEqual([{}]);
  expect(sampleArguments(object({ code: { type: 'string', pattern: '^[A-Z]{3}$' } }))).toEqual([]);
  expect(sampleArguments(object({ n: { type: 'integer', minimum: 5, maximum: 4 } }))).toEqual([]);
});
