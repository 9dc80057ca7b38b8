import { filesOf } from '../models.fixture';
import type { Name } from '../models.fixture';
import { Guides } from './guides';
import type { GuideSource } from './source';

jest.setTimeout(120_000);

const guidesOf = (name: Name, limits?: { compileMs: number; maskMs: number }): Guides =>
  new Guides(filesOf(name), { vocabularySize: 448, endTokens: [2] }, limits);

function allowed(mask: Int32Array | undefined): number[] {
  return Array.from({ length: 448 }, (_, id) => id).filter(
    (id) => (((mask?.[id >> 5] ?? 0) >>> (id & 31)) & 1) === 1,
  );
}

test('what cannot be followed is refused with its reason, and everything else goes on', async () => {
  await using guides = guidesOf('gpt2');
  const good = await guides.open({ kind: 'regex', text: '[0-9]{2}' }, 'a');
  await good.prepare([]);
  const refused: [GuideSource, string][] = [
    [{ kind: 'json_schema', text: '{"type":"nope"}' }, 'parameter json_schema/type: got "nope"'],
    [{ kind: 'regex', text: '(' }, 'parameter regex'],
    [{ kind: 'grammar', text: 'root ::= "a' }, 'string literal'],
    [{ kind: 'grammar', text: 'x ::= "a"' }, 'root'],
    [{ kind: 'json_schema', text: '{"not":{}}' }, 'parameter json_schema/not'],
    [
      { kind: 'json_schema', text: '{"properties":{"a":{"uniqueItems":true}}}' },
      '/properties/a/uniqueItems',
    ],
    [
      { kind: 'json_schema', text: '{"type":"number","minimum":1}' },
      'parameter json_schema/minimum',
    ],
    [{ kind: 'json_schema', text: '{"type":"string","pattern":"[ -~]"}' }, 'json_schema/pattern'],
    [{ kind: 'json_schema', text: '{"properties":{"a\\"b":{}}}' }, 'json_schema/properties'],
    [{ kind: 'json_schema', text: '{"type":"integer","enum":["a"]}' }, 'json_schema/type'],
    [
      { kind: 'json_schema', text: '{"$defs":{"d":{"$ref":"#/$defs/d"}},"$ref":"#/$defs/d"}' },
      'json_schema',
    ],
    [{ kind: 'json_schema', text: '{"$ref":"http://127.0.0.1/x"}' }, 'parameter json_schema/$ref'],
  ];
  for (let round = 0; round < 4; round += 1)
    for (const [source, expected] of refused)
      await expect(
        guides.open({ ...source, text: source.text + ' '.repeat(round) }, 'b'),
      ).rejects.toMatchObject({
        reason: 'PARAMETER_INVALID',
        message: expect.stringContaining(expected) as string,
      });
  const digit = allowed(good.mask).find((id) => id > 2) ?? 0;
  await good.prepare([digit]);
  expect(allowed(good.mask).length).toBeGreaterThan(0);
});

test('what takes too long is given up, and others are compiled and followed meanwhile', async () => {
  await using guides = guidesOf('gpt2', { compileMs: 2000, maskMs: 60_000 });
  const good = await guides.open({ kind: 'choice', text: '["yes","no"]' }, 'a');
  // It takes more than ten seconds, and then more memory than there is.
  const endless = '((([a-z]{1,9999}){1,9999}){1,9999})';
  const hostile = guides
    .open({ kind: 'regex', text: endless }, 'b')
    .catch((error: unknown) => error);
  await good.prepare([]);
  expect(allowed(good.mask).length).toBeGreaterThan(0);
  const other = await guides.open({ kind: 'regex', text: 'x+' }, 'a');
  await other.prepare([]);
  expect(await hostile).toMatchObject({ reason: 'LIMIT_EXCEEDED' });
});

test('special tokens, and ids that the tokenizer does not have, are never allowed but the end where it may be', async () => {
  await using guides = guidesOf('llama');
  const guide = await guides.open({ kind: 'regex', text: '.*' }, 'a');
  await guide.prepare([]);
  const ids = allowed(guide.mask);
  expect(ids).toContain(2);
  expect(ids.length).toBeGreaterThan(100);
  expect(ids.filter((id) => id < 2 || id >= 440)).toEqual([]);
});

test('an answer that goes on behind its end is refused, and others are followed as before', async () => {
  await using guides = guidesOf('gpt2');
  const yes: GuideSource = { kind: 'choice', text: '["yes","no"]' };
  const [good, bad] = [await guides.open(yes, 'a'), await guides.open(yes, 'b')];
  const tokens: number[] = [];
  while (tokens.at(-1) !== 2) {
    await good.prepare(tokens);
    tokens.push(allowed(good.mask)[0] ?? 2);
  }
  // The library aborts.
  await expect(bad.prepare(tokens)).rejects.toMatchObject({
    reason: 'PARAMETER_INVALID',
    message: expect.stringContaining('terminated') as string,
  });
  await good.prepare(tokens.slice(0, 1));
  const other = await guides.open({ kind: 'regex', text: '[0-9]{2}' }, 'c');
  await other.prepare([]);
  expect(allowed(other.mask).length).toBeGreaterThan(0);
});
