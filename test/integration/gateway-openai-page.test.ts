/** What OpenAI's calls refuse, and what the documentation asks of them. Needs a build. */
import { runCurlPage } from '../support/curl-page';
import { LanguageGateway } from '../support/language-gateway';

jest.setTimeout(120_000);

let http: LanguageGateway;
beforeAll(async () => {
  http = await LanguageGateway.start(90_000);
}, 240_000);
afterAll(() => http[Symbol.asyncDispose]());

const CHAT = { model: 'llama', messages: [{ role: 'user', content: 'A router is </s>' }] };

test.each<[string, string, object, number, string | null, string]>([
  [
    'completions',
    'an unknown model',
    { model: 'none', prompt: 'a' },
    404,
    'model',
    'model_not_found',
  ],
  ['completions', 'no prompt', { model: 'gpt2' }, 400, 'prompt', 'invalid_argument'],
  [
    'completions',
    'a parameter that the model does not have',
    { model: 'gpt2', prompt: 'a', beams: 2 },
    400,
    'beams',
    'parameter_invalid',
  ],
  [
    'completions',
    'a value that it cannot have',
    { model: 'gpt2', prompt: 'a', top_p: 2 },
    400,
    'top_p',
    'parameter_invalid',
  ],
  [
    'completions',
    'no token',
    { model: 'gpt2', prompt: 'a', max_tokens: 0 },
    400,
    'max_tokens',
    'invalid_argument',
  ],
  [
    'completions',
    'more than the context holds',
    { model: 'gpt2', prompt: 'cab '.repeat(900) },
    400,
    'prompt',
    'limit_exceeded',
  ],
  [
    'completions',
    'a stream of that',
    { model: 'gpt2', prompt: 'cab '.repeat(900), stream: true },
    400,
    'prompt',
    'limit_exceeded',
  ],
  [
    'completions',
    'an echo',
    { model: 'gpt2', prompt: 'a', echo: true },
    400,
    'echo',
    'invalid_argument',
  ],
  [
    'completions',
    'too many',
    { model: 'gpt2', prompt: ['a', 'b'], n: 17 },
    400,
    'prompt',
    'invalid_argument',
  ],
  [
    'chat/completions',
    'a model without a template',
    { ...CHAT, model: 'gpt2' },
    400,
    'model',
    'invalid_argument',
  ],
  [
    'chat/completions',
    'a role that there is not',
    { ...CHAT, messages: [{ role: 'robot', content: '' }] },
    400,
    'messages[0].role',
    'invalid_argument',
  ],
  [
    'chat/completions',
    'tools that are no functions',
    { ...CHAT, tools: [{ type: 'function' }] },
    400,
    'tools.0.function',
    'invalid_argument',
  ],
  [
    'embeddings',
    'ids of tokens',
    { model: 'sentence-bert', input: [5, 6] },
    400,
    'input',
    'invalid_argument',
  ],
  [
    'embeddings',
    'a model that makes none',
    { model: 'gpt2', input: 'a' },
    400,
    'model',
    'invalid_argument',
  ],
  [
    'chat/completions',
    'a format that is none',
    { ...CHAT, response_format: { type: 'xml' } },
    400,
    'response_format',
    'invalid_argument',
  ],
])('%s: %s is refused by name', async (pathname, _what, body, status, param, code) => {
  const response = await http.ask(`/v1/${pathname}`, body);
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  expect([response.status, error]).toEqual([status, expect.objectContaining({ param, code })]);
  expect(error).toMatchObject({
    message: expect.any(String) as string,
    type: expect.any(String) as string,
  });
});

test('what the documentation asks with curl is answered', async () => {
  const names = { '"smol"': '"llama"', '"minilm"': '"sentence-bert"' };
  const outputs = await runCurlPage('docs/openai.md', http, names);
  expect(outputs).toHaveLength(5);
  expect(JSON.parse(outputs[0] ?? '')).toMatchObject({ object: 'chat.completion' });
  expect(outputs[1]).toMatch(/"usage":.*\n\ndata: \[DONE\]\n\n$/);
  const [completion, models] = (outputs[2] ?? '').trim().split('\n');
  expect((JSON.parse(completion ?? '') as { choices: unknown }).choices).toHaveLength(2);
  expect(JSON.parse(models ?? '')).toMatchObject({ object: 'list' });
  expect(JSON.parse(outputs[3] ?? '')).toMatchObject({ data: [{ index: 0 }, { index: 1 }] });
  expect(JSON.parse(outputs[4] ?? '')).toMatchObject({
    choices: [
      {
        message: { tool_calls: [{ type: 'function', function: { name: 'weather' } }] },
        finish_reason: 'tool_calls',
      },
    ],
  });
});

test('who has no token is told so in the same words', async () => {
  const response = await fetch(`${http.base}/v1/chat/completions`, { method: 'POST', body: '{}' });
  expect(response.status).toBe(401);
  expect(await response.json()).toMatchObject({
    error: { type: 'authentication_error', code: 'invalid_api_key' },
  });
});
