import { parseConversation } from './conversation';

const parse = (value: unknown) => parseConversation(JSON.stringify(value));
const user = { role: 'user', content: 'Hi' };

test('a list of messages, or an object that says more', () => {
  const bare = { tools: undefined, template: {}, now: undefined };
  expect(parse([user])).toEqual({ ...bare, messages: [user] });
  const tools = [{ type: 'function', function: { name: 'f' } }];
  expect(parse({ messages: [user], tools, template: { enable_thinking: false }, now: 5 })).toEqual({
    ...{ messages: [user], tools, template: { enable_thinking: false }, now: 5 },
  });
});

test('parts of a text are lines, and what templates may look at besides is kept', () => {
  const parts = [
    { type: 'text', text: 'a' },
    { type: 'text', text: 'b' },
  ];
  const calls = [{ function: { name: 'f', arguments: { x: 1 } } }];
  const { messages } = parse([
    { role: 'user', content: parts },
    { role: 'assistant', tool_calls: calls },
    { role: 'tool', tool_call_id: '1', content: '5' },
  ]);
  expect(messages).toEqual([
    { role: 'user', content: 'a\nb' },
    { role: 'assistant', content: null, tool_calls: calls },
    { role: 'tool', tool_call_id: '1', content: '5' },
  ]);
});

let deep: unknown = 'x';
for (let level = 0; level < 101; level++) deep = [deep];

test.each([
  [[], 'messages'],
  ['Hi', 'messages'],
  [{ messages: [user], extra: 1 }, 'messages'],
  [[user, { role: 'robot', content: 'x' }], 'messages[1].role'],
  [[{ role: 'user' }], 'messages[0].content'],
  [[{ role: 'user', content: null }], 'messages[0].content'],
  [[{ role: 'user', content: 5 }], 'messages[0].content'],
  [[{ role: 'user', content: [{ type: 'image_url', text: '' }] }], 'messages[0].content'],
  [{ messages: [user], tools: [5] }, 'messages.tools[0]'],
  [{ messages: [user], now: -1 }, 'messages.now'],
  [[{ ...user, more: deep }], 'messages'],
])('%j is refused by the name of the field', (value, field) => {
  expect(() => parse(value)).toThrow(
    expect.objectContaining({
      reason: 'INVALID_ARGUMENT',
      metadata: expect.objectContaining({ field }) as object,
    }) as Error,
  );
});

test('the value that is wrong is told, and text that is no JSON', () => {
  expect(() => parse([user, { role: 'robot', content: 'x' }])).toThrow(/messages\[1\].role.*robot/);
  expect(() => parseConversation('[{')).toThrow(/no JSON/);
});
