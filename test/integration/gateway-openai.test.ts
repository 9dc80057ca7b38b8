/** Clients of OpenAI at a gateway, while what serves them dies. Needs a build. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ENCODER_MODELS, LANGUAGE_MODELS, scrape, total, until } from '@cabstand/testing';
import { TestClient } from '../support/client';
import { LanguageGateway } from '../support/language-gateway';

jest.setTimeout(120_000);

interface Greedy {
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
}
interface ToolCall {
  readonly index?: number;
  readonly id: string;
  readonly function: { readonly name: string; readonly arguments: string };
}
interface Answer {
  readonly object: string;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly text?: string;
    readonly message?: {
      readonly role: string;
      readonly content: string | null;
      readonly tool_calls?: readonly ToolCall[];
    };
    readonly delta?: {
      readonly role?: string;
      readonly content?: string;
      readonly tool_calls?: readonly ToolCall[];
    };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Readonly<Record<string, number>> | null;
}

let http: LanguageGateway;
beforeAll(async () => {
  http = await LanguageGateway.start(90_000);
}, 240_000);
afterAll(() => http[Symbol.asyncDispose]());

/** A prompt with a long answer. */
const longest = (
  JSON.parse(
    readFileSync(path.join(LANGUAGE_MODELS, 'llama-greedy.json'), 'utf8'),
  ) as readonly Greedy[]
).reduce((a, b) => (b.tokens.length > a.tokens.length ? b : a));

/** What sentence-transformers answers. */
const embedded = JSON.parse(
  readFileSync(path.join(ENCODER_MODELS, 'sentence-bert.json'), 'utf8'),
) as readonly {
  readonly text: string;
  readonly ids: readonly number[];
  readonly normalized: readonly number[];
}[];

interface Vectors<T> {
  readonly data: readonly { readonly index: number; readonly embedding: T }[];
  readonly usage: { readonly prompt_tokens: number } | null;
}

async function answered(pathname: string, body: object): Promise<Answer> {
  const response = await http.ask(pathname, body);
  const json = (await response.json()) as Answer;
  expect([response.status, json]).toEqual([200, expect.anything()]);
  return json;
}

/** The chunks of a stream, and whether it said that it is done. */
async function* chunks(response: Response): AsyncGenerator<Answer, boolean, undefined> {
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  let rest = '';
  const decoder = new TextDecoder();
  for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
    const blocks = (rest + decoder.decode(piece, { stream: true })).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      if (block.startsWith(':')) continue;
      expect(block).toMatch(/^data: /);
      if (block === 'data: [DONE]') return true;
      yield JSON.parse(block.slice(6)) as Answer;
    }
  }
  return false;
}

const written = ({ function: { name, arguments: given } }: ToolCall): string => name + given;

/** Texts of all choices by their index, how each ended, and the last chunk. */
async function gathered(
  response: Response,
  at: (chunk: number) => Promise<void> | void = () => undefined,
) {
  const texts: string[] = [];
  const calls: string[][] = [];
  const finishes: (string | null)[] = [];
  let count = 0;
  let last: Answer | undefined;
  const stream = chunks(response);
  for (;;) {
    const next = await stream.next();
    if (next.done === true) return { texts, calls, finishes, last, done: next.value };
    last = next.value;
    for (const { index, text, delta, finish_reason: finish } of last.choices) {
      texts[index] = (texts[index] ?? '') + (text ?? delta?.content ?? '');
      for (const call of delta?.tool_calls ?? []) {
        const all = (calls[index] ??= []);
        expect(call.index).toBe(all.length);
        all.push(written(call));
      }
      if (finish !== null) finishes[index] = finish;
    }
    await at(++count);
  }
}

async function textOf(model: string, prompt: string, maxTokens: number): Promise<string> {
  await using client = new TestClient(http.subnet);
  await using session = client.session(model);
  let all = '';
  for await (const { text } of session.generate({ prompt, maxTokens })) all += text;
  return all;
}

const NAMES = ['gpt2', 'llama', 'sentence-bert'];

test('language models are listed as OpenAI lists them, beside all others', async () => {
  const listed = (await (await http.ask('/v1/models')).json()) as {
    object: string;
    data: { id: string; object: string }[];
    models: { name: string }[];
  };
  expect(listed.object).toBe('list');
  expect(listed.models.map(({ name }) => name).sort()).toEqual(NAMES);
  expect(listed.data.map(({ id, object }) => `${object} ${id}`).sort()).toEqual(
    NAMES.map((name) => `model ${name}`),
  );
  expect(await (await http.ask('/v1/models/llama')).json()).toMatchObject({ id: 'llama' });
  const missing = await http.ask('/v1/models/none');
  expect(missing.status).toBe(404);
  expect(await missing.json()).toMatchObject({
    error: { code: 'model_not_found', param: 'model' },
  });
});

test('a completion is what the model answers, of text and of ids', async () => {
  const text = await textOf('gpt2', 'A router is', 12);
  const one = await answered('/v1/completions', {
    model: 'gpt2',
    prompt: 'A router is',
    max_tokens: 12,
  });
  expect(one).toMatchObject({
    ...{ object: 'text_completion', model: 'gpt2' },
    choices: [{ index: 0, text, finish_reason: 'length' }],
  });
  const ids = await answered('/v1/completions', {
    ...{ model: 'llama', prompt: [longest.prompt], max_tokens: longest.tokens.length },
  });
  expect(ids.usage).toEqual({
    prompt_tokens: longest.prompt.length,
    completion_tokens: longest.tokens.length,
    total_tokens: longest.prompt.length + longest.tokens.length,
  });
});

test('why an answer ended, and its tokens, are what the model says', async () => {
  const { choices, usage } = await answered('/v1/completions', {
    ...{ model: 'gpt2', prompt: 'A router is', max_tokens: 12 },
  });
  await using client = new TestClient(http.subnet);
  await using session = client.session('gpt2');
  const turn = session.generate({ prompt: 'A router is', maxTokens: 12 });
  let next = await turn.next();
  while (next.done !== true) next = await turn.next();
  const { finish, prompt = 0, answer = 0 } = next.value.generation ?? {};
  expect(prompt).toBeGreaterThan(0);
  expect(choices[0]?.finish_reason).toBe(finish);
  expect(usage).toEqual({
    ...{ prompt_tokens: prompt, completion_tokens: answer, total_tokens: prompt + answer },
  });
});

test('texts have the vectors of sentence-transformers, and their tokens are counted', async () => {
  const texts = embedded.map(({ text }) => text);
  const asked = { model: 'sentence-bert', input: texts };
  const response = await http.ask('/v1/embeddings', { ...asked, encoding_format: 'base64' });
  const { data, usage } = (await response.json()) as Vectors<string>;
  expect(data.map(({ index }) => index)).toEqual([...texts.keys()]);
  for (const [index, { normalized }] of embedded.entries()) {
    const bytes = Buffer.from(data[index]?.embedding ?? '', 'base64');
    const got = normalized.map((_, at) => bytes.readFloatLE(4 * at));
    expect(bytes).toHaveLength(4 * normalized.length);
    for (const [at, value] of normalized.entries()) expect(got[at]).toBeCloseTo(value, 4);
  }
  const tokens = embedded.reduce((sum, { ids }) => sum + ids.length, 0);
  expect(usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
  const one = await http.ask('/v1/embeddings', { ...asked, input: texts[0] });
  const floats = (await one.json()) as Vectors<number[]>;
  const [first] = embedded;
  expect(floats.data).toHaveLength(1);
  for (const [at, value] of (first?.normalized ?? []).entries())
    expect(floats.data[0]?.embedding[at]).toBeCloseTo(value, 4);
  expect(floats.usage?.prompt_tokens).toBe(first?.ids.length);
});

test('several prompts have several answers each, and drawn ones differ unless they have a seed', async () => {
  const body = { model: 'gpt2', prompt: ['A router', 'Cab'], n: 2, max_tokens: 24, temperature: 2 };
  const seeded = await answered('/v1/completions', { ...body, seed: 5 });
  expect(seeded.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  const texts = seeded.choices.map(({ text }) => text);
  expect(new Set(texts).size).toBe(4);
  const again = await answered('/v1/completions', { ...body, seed: 5 });
  expect(again.choices.map(({ text }) => text)).toEqual(texts);
  const free = await answered('/v1/completions', { ...body, n: 1, prompt: 'A router' });
  const other = await answered('/v1/completions', { ...body, n: 1, prompt: 'A router' });
  expect(free.choices[0]?.text).not.toBe(other.choices[0]?.text);
});

const CHAT = { model: 'llama', messages: [{ role: 'user', content: 'A router is </s>' }] };

test('a chat is answered whole, and streamed the same', async () => {
  const one = await answered('/v1/chat/completions', { ...CHAT, max_completion_tokens: 30 });
  expect(one).toMatchObject({
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: expect.any(String) as string } }],
  });
  const content = one.choices[0]?.message?.content ?? '';
  expect(content).not.toBe('');
  const stream = await http.ask('/v1/chat/completions', {
    ...{ ...CHAT, max_tokens: 30, stream: true, stream_options: { include_usage: true } },
    ...{
      user: 'someone',
      n: null,
      stop: null,
      frequency_penalty: 0,
      response_format: { type: 'text' },
    },
  });
  const { texts, finishes, last, done } = await gathered(stream);
  expect([texts, finishes, done]).toEqual([[content], [one.choices[0]?.finish_reason], true]);
  expect(last).toMatchObject({ object: 'chat.completion.chunk', choices: [] });
  expect(last).toHaveProperty('usage');
});

/** Place of the hoster with more sessions. */
async function busiest(): Promise<number> {
  const [a = 0, b = 0] = await Promise.all(
    http.subnet.hosters.map(async ({ admin }) =>
      total(await scrape(admin), 'cabstand_open_sessions'),
    ),
  );
  return a >= b ? 0 : 1;
}

const tool = (name: string, parameters: object) => ({
  ...{ type: 'function', function: { name, parameters } },
});

/** A text, and two calls, as the test model would hardly write them by itself. */
function calling(): object {
  const call = (at: string): string =>
    `<tool_call>\\{"name": "look", "arguments": \\{"at": "${at}"\\}\\}</tool_call>`;
  return {
    ...{ ...CHAT, tools: [tool('look', { type: 'object' })], n: 4, temperature: 3, seed: 9 },
    regex: `[a-z]{20}\\n${call('[a-z]{20}')}\\n${call('[0-9]{20}')}`,
  };
}

test('streams go on when hosters die, each of them in turn, and tell each call of a function once', async () => {
  // Long answers, and many: whichever hoster has more of them has not computed all when it dies.
  const body = {
    ...{ model: 'llama', prompt: [5, 6, 7], n: 8, max_tokens: 250 },
    ...{ temperature: 3, seed: 4 },
  };
  const whole = await answered('/v1/completions', body);
  const wholeCalls = await answered('/v1/chat/completions', calling());
  const moves = async (): Promise<number> =>
    total(await scrape(http.gateway.admin), 'cabstand_gateway_recoveries_total');
  const before = await moves();
  const stream = await http.ask('/v1/completions', { ...body, stream: true });
  const callStream = gathered(
    await http.ask('/v1/chat/completions', { ...calling(), stream: true }),
  );
  let first = 0;
  const { texts, finishes, done } = await gathered(stream, async (count) => {
    if (count === 16) {
      first = await busiest();
      await http.killHoster(first);
    }
    if (count === 32) {
      await http.subnet.ready(http.subnet.hosters[first]!);
      await http.killHoster(1 - first);
    }
  });
  expect([texts, finishes, done]).toEqual([
    whole.choices.map(({ text }) => text),
    whole.choices.map(({ finish_reason: finish }) => finish),
    true,
  ]);
  const called = await callStream;
  expect(called.texts).toEqual(wholeCalls.choices.map(({ message }) => message?.content));
  expect(called.calls).toEqual(
    wholeCalls.choices.map(({ message }) => message?.tool_calls?.map((one) => written(one))),
  );
  for (const calls of called.calls)
    expect(calls).toEqual([
      expect.stringMatching(/^look\{"at": "[a-z]{20}"\}$/),
      expect.stringMatching(/^look\{"at": "[0-9]{20}"\}$/),
    ]);
  expect([called.finishes, called.done]).toEqual([Array(4).fill('tool_calls'), true]);
  // Not before: some of it was not computed when the hosters died.
  expect(await moves()).toBeGreaterThan(before);
  await Promise.all(http.subnet.hosters.map((hoster) => http.subnet.ready(hoster)));
});

test('a model calls what it is to call, and reads what came of it', async () => {
  const place = { $ref: '#/$defs/place' };
  const trees = { place: { type: 'object', properties: { at: { enum: ['me', 'you'] } } } };
  const tools = [
    tool('go', { type: 'object', properties: { to: place }, required: ['to'], $defs: trees }),
    tool('stay', {
      type: 'object',
      properties: { n: { type: 'integer', minimum: 1, maximum: 9 } },
    }),
  ];
  const choose = { type: 'function', function: { name: 'go' } };
  const ask = { ...CHAT, tools, temperature: 1, seed: 1 };
  for (const tool_choice of ['required', choose]) {
    const { choices } = await answered('/v1/chat/completions', { ...ask, tool_choice });
    expect(choices).toMatchObject([{ message: { content: null }, finish_reason: 'tool_calls' }]);
    const [call] = choices[0]?.message?.tool_calls ?? [];
    const { name, arguments: given = '' } = call?.function ?? {};
    expect(JSON.parse(given)).toEqual(
      name === 'go'
        ? { to: expect.not.objectContaining({ at: 'nobody' }) as object }
        : { n: expect.any(Number) as number },
    );
    if (tool_choice === choose) expect(name).toBe('go');
    const told = { role: 'assistant', content: null, tool_calls: [call] };
    const result = { role: 'tool', tool_call_id: call?.id, content: 'done' };
    const messages = [...CHAT.messages, told, result];
    await answered('/v1/chat/completions', {
      ...ask,
      messages,
      tool_choice: 'none',
      max_tokens: 2,
    });
  }
  const refused = await http.ask('/v1/chat/completions', {
    ...{ ...ask, tools: [tool('go', { type: 'object', minProperties: 1 })] },
    tool_choice: choose,
  });
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({ error: { code: 'parameter_invalid' } });
});

/** Of all hosters together. */
async function counted(name: string, labels: Readonly<Record<string, string>> = {}) {
  const counts = await Promise.all(
    http.subnet.hosters.map(async ({ admin }) => total(await scrape(admin), name, labels)),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

test('a client that goes away stops its turns', async () => {
  const cancelled = (): Promise<number> => counted('cabstand_turns_total', { reason: 'cancelled' });
  const before = await cancelled();
  const left = new AbortController();
  const body = { model: 'llama', prompt: [longest.prompt], stream: true, n: 24, temperature: 3 };
  const stream = chunks(await http.ask('/v1/completions', body, left.signal));
  await stream.next();
  left.abort();
  await stream.next().catch(() => undefined);
  await until('turns to be stopped', async () => (await cancelled()) > before || undefined);
  const open = (): Promise<number> => counted('cabstand_open_sessions');
  await until('no sessions', async () => (await open()) === 0 || undefined);
});
