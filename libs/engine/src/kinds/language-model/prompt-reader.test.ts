import { codecOf, filesOf } from './models.fixture';
import type { Name } from './models.fixture';
import { PromptReader } from './prompt-reader';
import type { Prompt } from './prompt-reader';

const files = (name: Name) => ({
  tokenizer: filesOf(name),
  chat: { template: '{{ messages[0].content }}', toolTemplate: undefined, tokens: {} },
  contextLength: 256,
});
const prompt = (text: string): Prompt => ({ kind: 'prompt', text });

test('prompts are read in order, and one that is wrong fails alone', async () => {
  await using reader = new PromptReader(files('gpt2'));
  const codec = await codecOf('gpt2');
  const texts = ['A router knows', 'Zürich '.repeat(2000), 'x'];
  const empty = reader.read(prompt(''), 'a').catch((error: unknown) => error);
  const read = await Promise.all(texts.map((text) => reader.read(prompt(text), 'a')));
  expect(read).toEqual(texts.map((text) => codec.encode(text)));
  expect(await empty).toMatchObject({ reason: 'INPUT_TEXT' });
});

test('one that takes too long is given up, and those behind it are read', async () => {
  await using reader = new PromptReader(files('gpt2'), 4000);
  const endless = reader
    .read(prompt('cab stand '.repeat(1_500_000)), 'a')
    .catch((error: unknown) => error);
  const next = reader.read(prompt('A router knows'), 'a');
  expect(await endless).toMatchObject({
    reason: 'LIMIT_EXCEEDED',
    message: expect.stringContaining('15000000 characters') as string,
  });
  expect(await next).toEqual((await codecOf('gpt2')).encode('A router knows'));
}, 60_000);

/** Takes longer than the test may. */
const ENDLESS = ' '.repeat(2_000_000);

test('one that is given up holds nobody up, while it is read and before', async () => {
  await using reader = new PromptReader(files('llama'), 600_000);
  const [first, second] = [new AbortController(), new AbortController()];
  const reasons = [first, second].map(({ signal }, index) =>
    reader.read(prompt(ENDLESS), `owner ${index}`, signal).catch((error: unknown) => error),
  );
  const next = reader.read(prompt('A router knows'), 'b');
  second.abort();
  first.abort();
  for (const reason of reasons) expect(await reason).toMatchObject({ reason: 'CANCELLED' });
  expect(await next).toEqual((await codecOf('llama')).encode('A router knows'));
}, 20_000);

test('owners take turns, however many prompts each of them has', async () => {
  await using reader = new PromptReader(files('gpt2'));
  const order: string[] = [];
  const read = async (owner: string, name: string): Promise<void> => {
    await reader.read(prompt('A router knows'), owner);
    order.push(name);
  };
  await Promise.all([
    ...['a1', 'a2', 'a3', 'a4'].map((name) => read('a', name)),
    ...['b1', 'b2'].map((name) => read('b', name)),
    read('c', 'c1'),
  ]);
  expect(order).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
});

test('conversations are rendered, and those that are none or too long are refused', async () => {
  await using reader = new PromptReader(files('gpt2'));
  const read = (text: string) => reader.read({ kind: 'messages', text }, 'a');
  const said = (content: string): string => JSON.stringify([{ role: 'user', content }]);
  expect(await read(said('A router knows'))).toEqual(
    (await codecOf('gpt2')).encode('A router knows'),
  );
  await expect(read('{')).rejects.toMatchObject({ reason: 'INVALID_ARGUMENT' });
  await expect(read(said(''))).rejects.toMatchObject({ reason: 'INPUT_TEXT' });
  await expect(read(said('cab '.repeat(100_000)))).rejects.toMatchObject({
    reason: 'LIMIT_EXCEEDED',
    message: expect.stringMatching(/^messages: got "?400000 characters/) as string,
  });
});
