import * as fc from 'fast-check';
import type { Said } from './call';
import { toolReader } from './readers';

type Format = Parameters<typeof toolReader>[0];
const OFFERED = new Map([
  ['look', { type: 'object', properties: { at: { type: 'string' }, n: { type: 'integer' } } }],
  ['go', {}],
]);

/** Everything that is said: content in one piece where no call stands between. */
function read(format: Format, pieces: readonly string[]): (string | [string, string])[] {
  const reader = toolReader(format, OFFERED);
  const said: Said[] = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
  const joined: (string | [string, string])[] = [];
  for (const one of said) {
    const last = joined.at(-1);
    if (one.kind === 'call') joined.push([one.call.name, one.call.arguments]);
    else if (typeof last === 'string') joined[joined.length - 1] = last + one.text;
    else joined.push(one.text);
  }
  return joined;
}

const LOOK =
  '{"name": "look", "arguments": {"at": "a } \\" </tool_call> b", "n": 12345678901234567890}}';
const looks: [string, string] = [
  'look',
  '{"at": "a } \\" </tool_call> b", "n": 12345678901234567890}',
];

const XML = `<tool_call>
<function=look>
<parameter=at>
12 "or"
 </tool_call> two lines
</parameter>
<parameter=n>
12345678901234567890
</parameter>
<parameter=more>
[1, {"x": null}]
</parameter>
<parameter=word>
north
</parameter>
</function>
</tool_call>`;
const xmlLooks: [string, string] = [
  'look',
  '{"at": "12 \\"or\\"\\n </tool_call> two lines", "n": 12345678901234567890, "more": [1, {"x": null}], "word": "north"}',
];

test.each<[Format, string, (string | [string, string])[]]>([
  ['hermes', `<tool_call>\n${LOOK}\n</tool_call>`, [looks]],
  ['hermes', `I look.\n\n<tool_call>${LOOK}</tool_call>\n`, ['I look.', looks]],
  [
    'hermes',
    `<tool_call>${LOOK}</tool_call>\n<tool_call>{"name":"go"}</tool_call> done `,
    [looks, ['go', '{}'], 'done '],
  ],
  // The token that closes it ended the answer.
  ['hermes', `<tool_call>${LOOK}`, [looks]],
  [
    'hermes',
    '<tool_call>{"arguments":"{\\"at\\":1}","name":"look"}</tool_call>',
    [['look', '{"at":1}']],
  ],
  // None of these is a call.
  ...[
    'a < b <tool',
    ' <tool_call> \n',
    '<tool_call>{"name":"look","arguments":{}',
    '<tool_call>{"name":"look","arguments":{}} and more</tool_call>',
    '<tool_call>{"name":"other","arguments":{}}</tool_call>',
    '<tool_call>{"name":"look","arguments":[]}</tool_call>',
    '<tool_call>{name:"look"}</tool_call>',
    '<tool_call>look()</tool_call>',
    '{"name":"look","arguments":{}}',
    '<tool_call>'.repeat(200),
  ].map((text): [Format, string, string[]] => ['hermes', text, [text]]),
  [
    'hermes',
    `<tool_call>look</tool_call> <tool_call>${LOOK}</tool_call>`,
    ['<tool_call>look</tool_call>', looks],
  ],
  ['qwen-coder', `I look.\n${XML}\n`, ['I look.', xmlLooks]],
  ['qwen-coder', `${XML}\n<tool_call><function=go></function>`, [xmlLooks, ['go', '{}']]],
  ...[
    '<tool_call>\n<function=other>\n</function>\n</tool_call>',
    '<tool_call><function=go> so </function></tool_call>',
    '<tool_call><function=go><parameter=a>1</function></tool_call>',
    '<tool_call><function=go><parameter=a>1</parameter>',
    '<tool_call><function=go></function> and more</tool_call>',
    `<tool_call>${LOOK}</tool_call>`,
    '<function=go></function>',
  ].map((text): [Format, string, string[]] => ['qwen-coder', text, [text]]),
  ['mistral', `[TOOL_CALLS] [${LOOK}, {"name":"go","arguments":{}}]`, [looks, ['go', '{}']]],
  ['mistral', `I look.[TOOL_CALLS][${LOOK}]`, ['I look.', looks]],
  // The special token before it has no text.
  ['mistral', ` [${LOOK}]\n`, [looks]],
  ...[
    '[1] says so [2].',
    '[TOOL_CALLS] none',
    '[TOOL_CALLS] []',
    '[{"name":"other","arguments":{}}]',
    `[${LOOK}] is what I would say`,
    `[${LOOK}`,
    '[TOOL_CA',
  ].map((text): [Format, string, string[]] => ['mistral', text, [text]]),
  [
    'llama',
    '{"name": "look", "parameters": {"at": [1, {"x": null}]}}',
    [['look', '{"at": [1, {"x": null}]}']],
  ],
  ['llama', ` ${LOOK} `, [looks]],
  ...[
    '{"name": "Bob", "parameters": {}}',
    '{"name": "look"}',
    'Here: {"name": "look", "parameters": {}}',
    '{"name": "look", "parameters": {}} that is it',
    '{"name": "look", "parameters": {}}{"name": "look", "parameters": {}}',
    '{"name": "look", "parameters": {',
    '{ not JSON }',
    '',
  ].map((text): [Format, string, string[]] => ['llama', text, text === '' ? [] : [text]]),
])('%s: %j', (format, text, expected) => {
  expect(read(format, [text])).toEqual(expected);
  expect(read(format, text.split(''))).toEqual(expected);
});

const fragments = fc.constantFrom(
  ...[`<tool_call>${LOOK}</tool_call>`, `<tool_call> ${LOOK} <`, `[TOOL_CALLS] [${LOOK}]`],
  ...[XML, '<function=go>', '</function>', '<parameter=a>', '</parameter>', '</func'],
  ...['<tool_call>', '</tool_call>', '<tool', '_call>', '[TOOL_CALLS]', '[TOOL', LOOK, `[${LOOK}]`],
  ...[
    '{"name":"go"}',
    '{"name":"go","parameters":{}}',
    '{',
    '}',
    '[',
    ']',
    ',',
    '"',
    '\\',
    ' ',
    '\n',
  ],
  ...['a', 'Zürich 🚕', '\u00a0', '\ud83d'],
);

test.each(['hermes', 'qwen-coder', 'mistral', 'llama', 'object'] as const)(
  '%s: however an answer is cut, the same is said, and no text is lost but that of calls',
  (format) => {
    fc.assert(
      fc.property(
        fc.array(fragments, { maxLength: 12 }).map((some) => some.join('')),
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1 }),
        (text, sizes) => {
          const pieces: string[] = [];
          for (let at = 0, turn = 0; at < text.length; turn += 1) {
            // Some tokens have no text.
            const size = sizes.every((one) => one === 0) ? 1 : (sizes[turn % sizes.length] ?? 1);
            pieces.push(text.slice(at, at + size));
            at += size;
          }
          const whole = read(format, [text]);
          expect(read(format, pieces)).toEqual(whole);
          if (whole.every((one) => typeof one === 'string')) expect(whole.join('')).toBe(text);
        },
      ),
      { numRuns: 1000 },
    );
  },
);

test('what cannot be a call any more is said at once', () => {
  const hermes = toolReader('hermes', OFFERED);
  expect(hermes.push('a <tool')).toEqual([{ kind: 'content', text: 'a' }]);
  expect(hermes.push('s')).toEqual([{ kind: 'content', text: ' <tools' }]);
  const llama = toolReader('llama', OFFERED);
  expect(llama.push('{"a":1} ')).toEqual([]);
  expect(llama.push('b')).toEqual([{ kind: 'content', text: '{"a":1} b' }]);
  expect(llama.push(' c')).toEqual([{ kind: 'content', text: ' c' }]);
});

test('arguments may be as long as an answer is', () => {
  const given = JSON.stringify({ at: '"\\n\\u00e9'.repeat(200_000), more: 'x'.repeat(1_000_000) });
  const text = `<tool_call>{"name":"go","arguments":${given}}</tool_call>`;
  expect(read('hermes', [text])).toEqual([['go', given]]);
});
