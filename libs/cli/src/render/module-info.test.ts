import { schemaText } from './module-info';

test.each([
  [
    {
      type: 'object',
      properties: { colour: { enum: ['ocean', 'fire'] }, seed: { type: 'integer' } },
      required: ['colour'],
    },
    'colour=ocean|fire [seed=integer]',
  ],
  [{ type: 'object', properties: { at: { type: ['number', 'null'] } } }, '[at=number|null]'],
  [{ type: 'object', properties: { what: {} }, required: ['what'] }, 'what=JSON'],
  [{ type: 'string' }, 'string'],
])('%j is %s', (schema, text) => expect(schemaText(JSON.stringify(schema))).toBe(text));

test('no schema, and text that is none, are nothing', () => {
  expect([schemaText(''), schemaText('{'), schemaText('[]')]).toEqual(['', '', '']);
});

test('what a hoster says cannot move the cursor', () => {
  expect(schemaText(JSON.stringify({ enum: ['\u001b[2J'] }))).toBe('\ufffd[2J');
});
