/** Language models as optimum exports them, served without a manifest, beneath failures. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { GenerateOptions, Session } from '@cabstand/client';
import { LANGUAGE_MODELS, Subnet } from '@cabstand/testing';
import { TestClient } from '../support/client';
import { descendants } from '../support/processes';

interface Greedy {
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
}

const answersOf = (model: string): Greedy[] =>
  JSON.parse(readFileSync(path.join(LANGUAGE_MODELS, `${model}-greedy.json`), 'utf8')) as Greedy[];

let subnet: Subnet;

beforeAll(async () => {
  // A short journal keeps engines close to readers: they have something left to compute when they die.
  const hosterConfig = { limits: { journal_records: 16 } };
  subnet = await Subnet.start({ models: LANGUAGE_MODELS, hosters: 2, hosterConfig });
}, 90_000);

afterAll(() => subnet.stop());

/** Tokens of a turn; `at` is told after each. */
async function tokensOf(
  session: Session,
  options: GenerateOptions,
  at: (count: number) => Promise<void> | void = () => undefined,
): Promise<number[]> {
  const tokens: number[] = [];
  for await (const { token, index } of session.generate(options)) {
    expect(index).toBe(tokens.length);
    tokens.push(token);
    await at(tokens.length);
  }
  return tokens;
}

test.each(['gpt2', 'llama'])(
  '%s answers 16 callers at once as transformers does',
  async (model) => {
    await using client = new TestClient(subnet);
    const answers = answersOf(model);
    await Promise.all(
      [...answers, ...answers].map(async ({ prompt, tokens }) => {
        await using session = client.session(model);
        // One turn after another, each from its own prompt alone.
        for (let turn = 0; turn < 2; turn += 1)
          expect(await tokensOf(session, { prompt, maxTokens: 48 })).toEqual(tokens);
        expect(session.lastTurn).toMatchObject({ reason: 'completed', steps: tokens.length });
      }),
    );
  },
  60_000,
);

test('text goes in and comes out, and drawn answers depend on their seed', async () => {
  await using client = new TestClient(subnet);
  await using session = client.session('llama');
  const ask = async (seed: number): Promise<string> => {
    let text = '';
    for await (const chunk of session.generate({
      ...{ prompt: 'A router knows', maxTokens: 60, temperature: 1, topP: 0.9, seed },
    }))
      text += chunk.text;
    return text;
  };
  const first = await ask(1);
  expect(first).not.toBe('');
  expect(await ask(1)).toBe(first);
  expect(await ask(2)).not.toBe(first);
});

test.each([
  ['no prompt', { prompt: '' }, 'INPUT_MISSING', 'a prompt, or tensor input_ids'],
  ['no ids', { prompt: [] }, 'INPUT_SHAPE', 'at least 1 token'],
  ['a negative id', { prompt: [5, -1] }, 'INPUT_OUT_OF_RANGE', 'at least 0'],
  ['an id beyond the vocabulary', { prompt: [5, 448] }, 'INPUT_OUT_OF_RANGE', 'at most 447'],
  [
    'ids beyond the context',
    { prompt: Array.from({ length: 256 }, () => 5) },
    'LIMIT_EXCEEDED',
    'at most 255',
  ],
  ['text beyond the context', { prompt: 'cab '.repeat(400) }, 'LIMIT_EXCEEDED', 'at most 255'],
  [
    'more tokens than the context holds',
    { prompt: [5, 6], maxTokens: 255 },
    'LIMIT_EXCEEDED',
    'at most 254',
  ],
  ['a parameter beyond its range', { prompt: [5], topP: 2 }, 'PARAMETER_INVALID', 'at most 1'],
])('%s is refused, and nobody else notices', async (_, options, reason, expected) => {
  await using client = new TestClient(subnet);
  await using other = client.session('llama');
  await using session = client.session('llama');
  const [one] = answersOf('llama');
  if (one === undefined) throw new Error('no answers');
  const beside = tokensOf(other, { prompt: one.prompt, maxTokens: 48 });
  const error: unknown = await tokensOf(session, options).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ reason, message: expect.stringContaining(expected) as string });
  expect(await beside).toEqual(one.tokens);
});

test('an answer goes on token for token when its engine dies, and when its hoster does', async () => {
  await using client = new TestClient(subnet);
  const [prompt] = answersOf('gpt2')
    .map((one) => one.prompt)
    .slice(3);
  const options = { prompt: prompt ?? [], maxTokens: 150 };
  const drawn = { ...options, temperature: 1.1, topK: 80, topP: 0.97, seed: 5 };
  const quiet = async (asked: GenerateOptions): Promise<number[]> => {
    await using session = client.session('gpt2');
    return await tokensOf(session, asked);
  };
  const expected = await Promise.all([quiet(options), quiet(drawn)]);
  const hosterOf = (session: Session) => {
    const found = subnet.hosters.findIndex(({ address }) => address === session.node?.address);
    const hoster = subnet.hosters[found];
    if (hoster === undefined) throw new Error('no hoster has the session');
    return { hoster, found };
  };
  for (const [index, asked] of [options, drawn].entries()) {
    await using session = client.session('gpt2');
    const tokens = await tokensOf(session, asked, (count) => {
      // Both of its engines: which serves which model is not told.
      if (count !== 20) return;
      for (const pid of descendants(hosterOf(session).hoster.child.pid))
        process.kill(pid, 'SIGKILL');
    });
    expect(tokens).toEqual(expected[index]);
  }
  await using session = client.session('gpt2');
  let killed = -1;
  const tokens = await tokensOf(session, drawn, (count) => {
    if (count !== 30) return;
    const { hoster, found } = hosterOf(session);
    killed = found;
    hoster.child.kill('SIGKILL');
  });
  expect(tokens).toEqual(expected[1]);
  expect(subnet.hosters.findIndex(({ address }) => address === session.node?.address)).toBe(
    1 - killed,
  );
}, 90_000);
