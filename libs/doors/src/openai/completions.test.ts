import { CabstandError, FakeClock } from '@cabstand/core';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type {
  GenerationFacts,
  ModelFacts,
  ServedRecord,
  Serving,
  ToolCallFormat,
  TurnAsk,
} from '../serving';
import { OPENAI_CALLS } from './routes';

const named = (name: string) => ({ name, dtype: 'float64', shape: [] }) as const;
const NAMES = [
  'max_tokens',
  'temperature',
  'seed',
  'stop',
  'logprobs',
  'json_schema',
  'logit_bias',
];

interface Script {
  readonly parameters?: readonly string[];
  /** Texts of tokens, or what the turn fails with. */
  readonly tokens?: readonly (string | CabstandError)[];
  readonly tensors?: readonly Tensor[];
  readonly generation?: GenerationFacts;
  readonly toolCalls?: ToolCallFormat;
}

/** A model that answers by a script, and what was asked of it. */
class Scripted {
  readonly asked: TurnAsk[] = [];
  readonly written: string[] = [];
  left = 0;
  readonly #script: Script;

  constructor(script: Script = {}) {
    this.#script = script;
  }

  readonly serving = {
    model: () => Promise.resolve(this.#facts()),
    runTurn: (ask: TurnAsk, signal: AbortSignal) => this.#run(ask, signal),
  } as unknown as Serving;

  /** What is answered as JSON; undefined for a stream. */
  call(path: string, body: unknown): Promise<object | undefined> {
    const call = OPENAI_CALLS.get(`/v1/${path}`);
    if (call === undefined) throw new Error(`nothing at ${path}`);
    return call({
      serving: this.serving,
      clock: new FakeClock(),
      caller: { principal: { id: 'a', roles: new Set(['client'] as const) } },
      signal: new AbortController().signal,
      body: () => Promise.resolve(body),
      out: {
        write: (text) => {
          this.written.push(text);
          return Promise.resolve();
        },
      },
    });
  }

  /** What a stream said. */
  get chunks(): unknown[] {
    expect(this.written.at(-1)).toBe('data: [DONE]\n\n');
    return this.written.slice(0, -1).map((text) => JSON.parse(text.slice(6)) as unknown);
  }

  #facts(): Partial<ModelFacts> {
    const { parameters = NAMES, toolCalls } = this.#script;
    const spec = { dtype: 'string', shape: [1], description: '', labels: [] } as const;
    return {
      ...{ name: 'm', digest: 'sha256:m', kind: 'language-model', toolCalls },
      ...{ parameters: parameters.map(named), inputs: [{ ...spec, name: 'messages' }] },
    };
  }

  async *#run(ask: TurnAsk, signal: AbortSignal): AsyncGenerator<ServedRecord> {
    const { tokens = ['Hi', '!'], tensors = [], generation } = this.#script;
    this.asked.push(ask);
    let over = false;
    try {
      for (const [index, text] of tokens.entries()) {
        await Promise.resolve();
        signal.throwIfAborted();
        if (text instanceof CabstandError) throw text;
        yield { kind: 'chunk', position: index, index, text, tensors };
      }
      over = true;
      const end = { reason: 'completed', steps: tokens.length, note: '', generation } as const;
      yield { kind: 'end', position: tokens.length, ...end };
    } finally {
      if (!over) this.left += 1;
    }
  }
}

const CHAT = { model: 'm', messages: [{ role: 'user', content: 'Hi', name: null }] };

test('what the request says goes to the parameters of the model', async () => {
  const model = new Scripted();
  await model.call('chat/completions', {
    ...{ ...CHAT, max_completion_tokens: 7, max_tokens: 5, temperature: 0.5, seed: 3, stop: 'x' },
    ...{ logprobs: true, top_logprobs: 2, logit_bias: { 5: -100 }, presence_penalty: 0, user: 'u' },
    response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'array' } } },
  });
  expect(model.asked[0]?.input.parameters).toEqual({
    ...{
      max_tokens: 7,
      temperature: 0.5,
      seed: 3,
      stop: 'x',
      logprobs: 2,
      logit_bias: { 5: -100 },
    },
    json_schema: { type: 'array' },
  });
  const [tensor] = model.asked[0]?.input.tensors ?? [];
  expect(JSON.parse(tensor?.strings?.[0] ?? '')).toEqual({
    ...{ messages: [{ role: 'user', content: 'Hi' }], now: expect.any(Number) as number },
  });
});

test.each<[object, object]>([
  [{ response_format: { type: 'json_object' } }, { json_schema: { type: 'object' } }],
  [{ response_format: { type: 'text' } }, {}],
  [{ logprobs: true }, { logprobs: 0 }],
  [{ logprobs: false }, {}],
])('%j is %j', async (asked, parameters) => {
  const model = new Scripted();
  await model.call('chat/completions', { ...CHAT, ...asked, seed: 1 });
  expect(model.asked[0]?.input.parameters).toEqual({ seed: 1, ...parameters });
});

test('a model that lacks a parameter refuses it, but for what changes nothing', async () => {
  const model = new Scripted({ parameters: ['max_tokens'] });
  const neutral = { frequency_penalty: 0, presence_penalty: 0, logit_bias: {}, stop: [], top_p: 1 };
  await model.call('chat/completions', { ...CHAT, ...neutral });
  expect(model.asked[0]?.input.parameters).toEqual({});
  for (const [body, field] of [
    [{ stop: ['x'] }, 'stop'],
    [{ logprobs: true }, 'logprobs'],
    [{ response_format: { type: 'json_object' } }, 'response_format'],
    [{ temperature: 1 }, 'temperature'],
  ] as const)
    await expect(model.call('chat/completions', { ...CHAT, ...body })).rejects.toMatchObject({
      ...{ reason: 'PARAMETER_INVALID', metadata: { field } },
    });
});

test('tools and variables go to the template; tool_choice none keeps them', async () => {
  const model = new Scripted();
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const more = { chat_template_kwargs: { enable_thinking: false } };
  await model.call('chat/completions', { ...CHAT, tools, ...more });
  await model.call('chat/completions', { ...CHAT, tools, tool_choice: 'none' });
  const said = model.asked.map(
    ({ input }) => JSON.parse(input.tensors[0]?.strings?.[0] ?? '') as object,
  );
  expect(said[0]).toMatchObject({ tools, template: { enable_thinking: false } });
  expect(said[1]).not.toHaveProperty('tools');
});

const TOOLS = ['look', 'go'].map((name) => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties: { at: { enum: ['me', 'you'] } } } },
}));
const call = (name: string, written: string) => ({
  id: expect.stringMatching(/^call_[0-9a-f]{32}$/) as string,
  ...{ type: 'function', function: { name, arguments: written } },
});
const CALLS = [
  'I ',
  'look. ',
  '<tool_',
  'call>{"name":"look",',
  '"arguments":{"at":"me"}}</tool',
  '_call>',
].concat('\n<tool_call>{"name":"go","arguments":{}}', '</tool_call>', '');

test('calls are told apart from what an answer says, whole and streamed', async () => {
  const generation = { finish: 'stop', prompt: 5, cached: 0, answer: 9 } as const;
  const script: Script = { tokens: CALLS, toolCalls: 'hermes', generation };
  const asked = { ...CHAT, tools: TOOLS };
  const calls = [call('look', '{"at":"me"}'), call('go', '{}')];
  expect(await new Scripted(script).call('chat/completions', asked)).toMatchObject({
    choices: [
      {
        message: { role: 'assistant', content: 'I look.', tool_calls: calls },
        finish_reason: 'tool_calls',
      },
    ],
  });
  const model = new Scripted(script);
  await model.call('chat/completions', { ...asked, stream: true });
  const deltas = model.chunks.map((chunk) => (chunk as { choices: object[] }).choices[0]);
  expect(deltas).toMatchObject([
    { delta: { role: 'assistant', content: '' } },
    { delta: { content: 'I' } },
    { delta: { content: ' look.' } },
    { delta: { tool_calls: [{ index: 0, ...calls[0] }] } },
    { delta: { tool_calls: [{ index: 1, ...calls[1] }] } },
    { delta: {}, finish_reason: 'tool_calls' },
  ]);
  // Cut is cut.
  const cut = { ...generation, finish: 'length' } as const;
  expect(
    await new Scripted({ ...script, generation: cut }).call('chat/completions', asked),
  ).toMatchObject({ choices: [{ finish_reason: 'length', message: { tool_calls: calls } }] });
});

test('each token has its log probability once, wherever its text goes', async () => {
  const tensors = [tensorOf('logprob', Float32Array.of(-0.5))];
  const model = new Scripted({ tokens: CALLS, tensors, toolCalls: 'hermes' });
  await model.call('chat/completions', { ...CHAT, tools: TOOLS, logprobs: true, stream: true });
  const told = model.chunks.flatMap((chunk) => {
    const { choices } = chunk as {
      choices: { logprobs: { content: { token: string }[] } | null }[];
    };
    return choices[0]?.logprobs?.content.map(({ token }) => token) ?? [];
  });
  expect(told).toEqual(CALLS);
});

test.each<[string, object, ToolCallFormat | undefined]>([
  ['tools are not offered', {}, 'hermes'],
  ['the model says in no known way that it calls', { tools: TOOLS }, undefined],
  ['none may be called', { tools: TOOLS, tool_choice: 'none' }, 'hermes'],
  ['they are written as another model does', { tools: TOOLS }, 'mistral'],
])('calls are content where %s', async (_why, asked, toolCalls) => {
  const model = new Scripted({ tokens: CALLS, ...(toolCalls && { toolCalls }) });
  expect(await model.call('chat/completions', { ...CHAT, ...asked })).toMatchObject({
    choices: [{ message: { content: CALLS.join('') }, finish_reason: 'stop' }],
  });
});

test.each([
  ['required', ['look', 'go']],
  [{ type: 'function', function: { name: 'go' } }, ['go']],
] as const)('tool_choice %j makes the model call', async (tool_choice, names) => {
  const tokens = ['{"name":"go","argu', 'ments":{"at":"you"}}'];
  const model = new Scripted({ tokens });
  const answer = await model.call('chat/completions', { ...CHAT, tools: TOOLS, tool_choice });
  expect(answer).toMatchObject({
    choices: [
      {
        message: { content: null, tool_calls: [call('go', '{"at":"you"}')] },
        finish_reason: 'tool_calls',
      },
    ],
  });
  const written = JSON.stringify(model.asked[0]?.input.parameters['json_schema']);
  expect(['look', 'go'].filter((name) => written.includes(`{"const":"${name}"}`))).toEqual(names);
});

test('ids of a model with a template of Mistral are of nine letters and digits', async () => {
  const model = new Scripted({ tokens: ['[{"name":"go","arguments":{}}]'], toolCalls: 'mistral' });
  expect(await model.call('chat/completions', { ...CHAT, tools: TOOLS })).toMatchObject({
    choices: [
      { message: { tool_calls: [{ id: expect.stringMatching(/^[0-9a-z]{9}$/) as string }] } },
    ],
  });
});

test.each<[object, string, string]>([
  [{ tool_choice: 'required' }, 'INVALID_ARGUMENT', 'tool_choice'],
  [{ tools: TOOLS, tool_choice: 'any' }, 'INVALID_ARGUMENT', 'tool_choice'],
  [
    { tools: TOOLS, tool_choice: { type: 'function', function: { name: 'stay' } } },
    'INVALID_ARGUMENT',
    'tool_choice',
  ],
  [
    { tools: TOOLS, tool_choice: 'required', response_format: { type: 'json_object' } },
    'INVALID_ARGUMENT',
    'tool_choice',
  ],
  [{ tools: [{ type: 'function', function: {} }] }, 'INVALID_ARGUMENT', 'tools.0.function.name'],
  [
    { messages: [{ role: 'assistant', tool_calls: [{ function: {} }] }] },
    'INVALID_ARGUMENT',
    'messages[0].tool_calls.0.function.name',
  ],
])('%j is refused', async (asked, reason, field) => {
  await expect(
    new Scripted().call('chat/completions', { ...CHAT, ...asked }),
  ).rejects.toMatchObject({ reason, metadata: { field } });
});

test('a model that cannot be made to call says so', async () => {
  const model = new Scripted({ parameters: ['seed'] });
  await expect(
    model.call('chat/completions', { ...CHAT, tools: TOOLS, tool_choice: 'required' }),
  ).rejects.toMatchObject({
    reason: 'PARAMETER_INVALID',
    message: expect.stringContaining('json_schema') as string,
    metadata: { field: 'tool_choice' },
  });
});

test('calls of before and what came of them reach the template, arguments as objects', async () => {
  const model = new Scripted();
  const calls = (written: unknown) => [
    { id: 'c1', type: 'function', function: { name: 'look', arguments: written } },
  ];
  const messages = (written: unknown) => [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: null, tool_calls: calls(written), refusal: null },
    { role: 'tool', tool_call_id: 'c1', content: 'nothing' },
  ];
  for (const written of ['{"at":"me"}', 'at me'])
    await model.call('chat/completions', { ...CHAT, tools: TOOLS, messages: messages(written) });
  const told = model.asked.map(
    ({ input }) => JSON.parse(input.tensors[0]?.strings?.[0] ?? '') as { messages: object[] },
  );
  const expected = (written: unknown) => {
    const [user, { refusal: _, ...assistant } = {}, tool] = messages(written) as object[] as Record<
      string,
      unknown
    >[];
    return [user, assistant, tool];
  };
  expect(told[0]?.messages).toEqual(expected({ at: 'me' }));
  expect(told[1]?.messages).toEqual(expected('at me'));
});

test('what the model tells of its answer is told; several answers have one prompt', async () => {
  const generation = { finish: 'length', prompt: 5, cached: 0, answer: 2 } as const;
  const model = new Scripted({ generation });
  expect(await model.call('completions', { model: 'm', prompt: ['a', 'b'], n: 2 })).toMatchObject({
    choices: Array.from({ length: 4 }, (_, index) => ({
      ...{ index, text: 'Hi!', finish_reason: 'length' },
    })),
    usage: { prompt_tokens: 10, completion_tokens: 8, total_tokens: 18 },
  });
  const seeds = model.asked.map(({ input }) => Number(input.parameters['seed']));
  expect(seeds[1]).toBe((seeds[0] ?? 0) + 1);
  expect(await new Scripted().call('completions', { model: 'm', prompt: 'a' })).toMatchObject({
    ...{ usage: null, choices: [{ finish_reason: 'stop' }] },
  });
});

test('without the model’s word, an answer of max_tokens tokens was cut unless its last one has no text', async () => {
  const body = { model: 'm', prompt: 'a', max_tokens: 2 };
  expect(await new Scripted().call('completions', body)).toMatchObject({
    choices: [{ finish_reason: 'length' }],
  });
  expect(await new Scripted({ tokens: ['Hi', ''] }).call('completions', body)).toMatchObject({
    choices: [{ finish_reason: 'stop' }],
  });
});

test('log probabilities are told in the words of each call', async () => {
  const tensors = [
    tensorOf('logprob', Float32Array.of(-0.5)),
    tensorOf('top_tokens', BigInt64Array.of(7n)),
    tensorOf('top_logprobs', Float32Array.of(-0.25)),
  ];
  const script = { tensors, tokens: ['Hé', 'b'] };
  const chat = { ...CHAT, logprobs: true, top_logprobs: 1 };
  const top = { token: 'token_id:7', logprob: -0.25, bytes: null };
  expect(await new Scripted(script).call('chat/completions', chat)).toMatchObject({
    choices: [
      {
        logprobs: {
          content: [
            { token: 'Hé', logprob: -0.5, bytes: [72, 195, 169], top_logprobs: [top] },
            { token: 'b', logprob: -0.5, bytes: [98], top_logprobs: [top] },
          ],
        },
      },
    ],
  });
  const text = { model: 'm', prompt: 'a', logprobs: 1 };
  const expected = {
    ...{ tokens: ['Hé', 'b'], token_logprobs: [-0.5, -0.5], text_offset: [0, 2] },
    top_logprobs: [{ 'token_id:7': -0.25 }, { 'token_id:7': -0.25 }],
  };
  expect(await new Scripted(script).call('completions', text)).toMatchObject({
    choices: [{ logprobs: expected }],
  });
  const streamed = new Scripted(script);
  await streamed.call('completions', { ...text, stream: true });
  expect(streamed.chunks).toMatchObject([
    { choices: [{ logprobs: { tokens: ['Hé'], text_offset: [0] } }] },
    { choices: [{ logprobs: { tokens: ['b'], text_offset: [2] } }] },
    { choices: [{ finish_reason: 'stop' }] },
  ]);
});

test('a chat is streamed as its role, its pieces, how it ended, and what it used', async () => {
  const generation = { finish: 'stop', prompt: 5, cached: 0, answer: 3 } as const;
  const model = new Scripted({ tokens: ['Hi', '', '!'], generation });
  const more = { stream: true, stream_options: { include_usage: true } };
  expect(await model.call('chat/completions', { ...CHAT, ...more })).toBeUndefined();
  const delta = (delta: object, finish_reason: string | null = null) => ({
    ...{ object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] },
  });
  expect(model.chunks).toMatchObject([
    delta({ role: 'assistant', content: '' }),
    delta({ content: 'Hi' }),
    delta({ content: '!' }),
    delta({}, 'stop'),
    { choices: [], usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 } },
  ]);
  expect(new Set(model.chunks.map((chunk) => (chunk as { id: string }).id)).size).toBe(1);
});

test('one answer that fails ends the others, and nothing is written before it is known to run', async () => {
  const failure = new CabstandError('LIMIT_EXCEEDED', 'too long');
  const refused = new Scripted({ tokens: [failure] });
  await expect(refused.call('chat/completions', { ...CHAT, n: 3, stream: true })).rejects.toBe(
    failure,
  );
  expect(refused.written).toEqual([]);
  const broken = new Scripted({ tokens: ['a', 'b', failure] });
  await expect(broken.call('completions', { model: 'm', prompt: 'a', n: 3 })).rejects.toBe(failure);
  expect(broken.left).toBe(3);
});

test.each([
  [undefined, 'body'],
  [[], 'body'],
  [{ model: 'm' }, 'messages'],
  [{ ...CHAT, n: 0 }, 'n'],
  [{ ...CHAT, stream: 'yes' }, 'stream'],
  [{ ...CHAT, max_tokens: 0 }, 'max_tokens'],
  [{ ...CHAT, top_logprobs: 2 }, 'top_logprobs'],
  [{ ...CHAT, response_format: 'json' }, 'response_format'],
])('%j is refused by the name of the field', async (body, field) => {
  await expect(new Scripted().call('chat/completions', body)).rejects.toMatchObject({
    ...{ reason: 'INVALID_ARGUMENT', metadata: { field } },
  });
});
