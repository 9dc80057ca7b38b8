/** What docs/adding-a-model.md shows is what the schemas take. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenSchema, sequenceSchemas } from '../golden/schema';
import { parseManifest } from './parse';
import { manifestSchema } from './schema';

const page = readFileSync(join(__dirname, '../../../../docs/adding-a-model.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...page.matchAll(/```(\w+)\n(.*?)```/gs)].flatMap(([, found, text]) =>
    found === language && text !== undefined ? [text] : [],
  );

test.each(blocks('yaml'))('%s', (text) => {
  expect(Object.keys(parseManifest(text, 'docs'))).not.toEqual([]);
});

test('golden data are written as shown', () => {
  const [text = ''] = blocks('json');
  const { sequences } = goldenSchema.parse(JSON.parse(text));
  expect(sequences).toHaveLength(2);
  for (const one of sequences)
    ('turns' in one ? sequenceSchemas.turns : sequenceSchemas.turn).parse(one);
});

test('every key has its line', () => {
  const keys = Object.keys(manifestSchema.shape);
  expect(keys.filter((key) => !page.includes(`| \`${key}\` `))).toEqual([]);
});
