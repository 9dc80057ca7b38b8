import { CabstandError } from '@cabstand/core';
import { checkCommand } from './command-check';

/** How a command with these arguments is refused; undefined where it is left to the module. */
function refusal(
  schema: Readonly<Record<string, unknown>>,
  value: unknown,
): CabstandError | undefined {
  try {
    checkCommand(
      { name: 'm', commands: [{ name: 'go', arguments: schema }] },
      'go',
      JSON.stringify(value),
    );
    return undefined;
  } catch (error) {
    return CabstandError.from(error);
  }
}

const text = { type: 'string', pattern: '^(a+)+$' };
const object = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };

test.each<[string, Readonly<Record<string, unknown>>, unknown]>([
  ['a pattern', { ...object, properties: { n: text } }, { n: 'aaab' }],
  [
    'a pattern deeper within',
    { ...object, properties: { n: { anyOf: [{ items: text }] } } },
    { n: ['b'] },
  ],
  ['a pattern of a definition', { $ref: '#/$defs/t', $defs: { t: text } }, 'b'],
  [
    'a pattern of names',
    { ...object, patternProperties: { '^(a+)+$': { type: 'string' } } },
    { a: 1 },
  ],
  ['a format', { ...object, properties: { n: { type: 'string', format: 'email' } } }, { n: 'b' }],
])('%s is not tried in this process: the module says what it thinks of it', (_, schema, value) => {
  expect(refusal(schema, value)).toBeUndefined();
});

test.each<[string, Readonly<Record<string, unknown>>]>([
  ['no schema with patterns', object],
  ['one that speaks of patterns', { ...object, description: 'has no "pattern": at all' }],
])('%s is checked at once', (_, schema) => {
  expect(refusal(schema, { n: 'a' })).toMatchObject({
    reason: 'COMMAND_INVALID',
    metadata: { command: 'go', field: 'command.arguments.n' },
  });
});

test.each<[string, Readonly<Record<string, unknown>>, (huge: string) => unknown]>([
  [
    'a key that is not known',
    { ...object, additionalProperties: false },
    (huge) => ({ n: 1, [huge]: 1 }),
  ],
  [
    'what is under a key',
    { type: 'object', additionalProperties: { type: 'integer' } },
    (huge) => ({ [huge]: 'a' }),
  ],
])('a refusal of %s is short, however long that is', (_, schema, value) => {
  const error = refusal(schema, value('k'.repeat(60_000)));
  expect(error?.reason).toBe('COMMAND_INVALID');
  expect(error?.message).toContain('kkk');
  expect(error?.message.length).toBeLessThan(1200);
  expect(JSON.stringify(error?.metadata).length).toBeLessThan(1200);
});
