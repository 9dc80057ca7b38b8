import { toolCallFormat } from './tool-calls';

const formatOf = (template: string, toolTemplate?: string) =>
  toolCallFormat({ template, toolTemplate, tokens: {} });

const TOOLS = '{% if tools %}{{ tools | tojson }}{% endif %}';

test.each([
  // As Qwen2.5 and Hermes say it, in the text of a template that is a text of JSON no more.
  [
    'hermes',
    String.raw`${TOOLS}{{ "<tool_call>\n{\"name\": <name>, \"arguments\": <args>}\n</tool_call>" }}`,
  ],
  // As Qwen3-Coder says it.
  [
    'qwen-coder',
    `${TOOLS}<tool_call>\n<function=name>\n<parameter=a>\nvalue\n</parameter>{{ arguments }}`,
  ],
  ['mistral', `${TOOLS}{{ "[TOOL_CALLS] [" }}{{ call.function | tojson }}]`],
  [
    'llama',
    `${TOOLS}{{ 'Respond in the format {"name": function name, "parameters": dictionary' }}`,
  ],
  ['llama', String.raw`${TOOLS}{{ "{\"name\": function, \"parameters\": dictionary}" }}`],
  // No place for tools, other forms, and tools without a word of how they are called.
  [undefined, '{{ "<tool_call>arguments</tool_call>" }}'],
  [undefined, `${TOOLS}<tool_call><function=name>{arguments}`],
  [undefined, `${TOOLS}<function=name><parameter=a> arguments`],
  [undefined, `${TOOLS}<tool_call>name<arg_key>a</arg_key> arguments`],
  [undefined, `${TOOLS}[TOOL_CALLS]name[ARGS]{}`],
  [undefined, TOOLS],
])('%s: %s', (format, template) => {
  expect(formatOf(template)).toBe(format);
  expect(formatOf('', template)).toBe(format);
});

test('a template of its own for tools says it, where there is one', () => {
  expect(formatOf(`${TOOLS}[TOOL_CALLS]`, `${TOOLS}<tool_call> arguments`)).toBe('hermes');
  expect(toolCallFormat(undefined)).toBeUndefined();
});
