/** Memory of caches: who gets it, who gives it up, and what is kept of it. */
import { Engine } from '../../engine.fixture';
import { EXACT_NAMES, folderOf, greedyOf } from './models.fixture';
import type { Greedy } from './models.fixture';
import { bytesOf, figuresOf, ids, started, tokensOf } from './served.fixture';

jest.setTimeout(120_000);

test('answers without a limit outgrow the memory, and all of them end right', async () => {
  const name = 'llama';
  await using engine = await started(name, { maxStateBytes: bytesOf(name, 512) });
  const answers = greedyOf(name);
  const all = Array.from({ length: 12 }, (_, at) => answers[at % answers.length] as Greedy);
  for (const [sequence, { prompt }] of all.entries()) {
    engine.open(sequence);
    engine.turn(sequence, [ids(prompt)]);
  }
  for (const [sequence, { tokens }] of all.entries()) {
    expect((await engine.ended(sequence)).end.reason).toBe('completed');
    expect(tokensOf(engine, sequence).slice(0, tokens.length)).toEqual(tokens);
  }
  const { preemptions, cacheUse } = await figuresOf(engine);
  expect(preemptions).toBeGreaterThan(0);
  expect(cacheUse).toBe(0);
  const alike = new Map<string, string>();
  for (const [sequence, { prompt }] of all.entries()) {
    const text = tokensOf(engine, sequence).join();
    expect(alike.get(prompt.join()) ?? text).toBe(text);
    alike.set(prompt.join(), text);
  }
});

test('what never fits is refused, and a model with no memory at all', async () => {
  await using engine = await started('llama', { maxStateBytes: bytesOf('llama', 130) });
  const loaded = engine.frames.find(({ type }) => type === 'LOADED');
  expect(JSON.stringify(loaded)).toContain('holds 128 tokens of a context of 256');
  engine.open(1);
  engine.turn(1, [ids(Array.from({ length: 128 }, () => 5))]);
  expect((await engine.ended(1)).end).toMatchObject({ error: { reason: 'LIMIT_EXCEEDED' } });
  await using other = await Engine.start();
  expect(await other.load(folderOf('llama'), { maxStateBytes: 1000 })).toMatchObject({
    type: 'FAILED',
    reason: 'MODEL_FAILED',
  });
});

test('a reader that is behind holds no memory that others wait for', async () => {
  await using engine = await started('llama', { maxStateBytes: bytesOf('llama', 256) });
  const [one, two] = greedyOf('llama').slice(4);
  if (one === undefined || two === undefined) throw new Error('no answers');
  engine.open(1, 3);
  engine.turn(1, [ids(one.prompt)], { parameters: { max_tokens: 48 } });
  await engine.until(() => engine.chunks(1).length === 3);
  engine.open(2);
  engine.turn(2, [ids(two.prompt)], { parameters: { max_tokens: 200 } });
  await engine.ended(2);
  expect(tokensOf(engine, 2).slice(0, two.tokens.length)).toEqual(two.tokens);
  engine.send({ type: 'CREDITS', credits: [{ sequence: 1, records: 100, bytes: 1e9 }] });
  await engine.ended(1);
  expect(tokensOf(engine, 1)).toEqual(one.tokens);
  expect((await figuresOf(engine)).preemptions).toBe(1);
});

test.each(EXACT_NAMES)(
  '%s: a turn that goes on with the last one answers as a new session',
  async (name) => {
    await using engine = await started(name);
    for (const [sequence, { prompt, tokens }] of greedyOf(name).entries()) {
      engine.open(sequence, 1e6, 1e12, { owner: 'alice' });
      engine.turn(sequence, [ids(prompt)], { parameters: { max_tokens: 9 } });
      await engine.ended(sequence);
      for (const [turn, given] of [4, 8, 9, 9, 2].entries()) {
        const so = tokens.slice(0, given);
        engine.turn(sequence, [ids([...prompt, ...so])], {
          turn: turn + 1,
          parameters: { max_tokens: Math.max(1, tokens.length - given) },
        });
        await engine.ended(sequence, turn + 1);
        if (given < tokens.length)
          expect(tokensOf(engine, sequence, turn + 1)).toEqual(tokens.slice(given));
      }
    }
    const { promptTokens, cachedPromptTokens } = await figuresOf(engine);
    expect(cachedPromptTokens).toBeGreaterThan(promptTokens / 2);
  },
);

test('sessions of one principal begin with what another one computed, others do not', async () => {
  await using engine = await started('llama');
  const long = greedyOf('llama').at(-1);
  if (long === undefined) throw new Error('no answers');
  expect(long.prompt.length).toBe(128);
  const cached: number[] = [];
  for (const [sequence, owner] of ['alice', 'alice', 'bob', 'alice'].entries()) {
    engine.open(sequence, 1e6, 1e12, { owner });
    engine.turn(sequence, [ids(long.prompt)], { parameters: { max_tokens: 48 } });
    await engine.ended(sequence);
    expect(tokensOf(engine, sequence)).toEqual(long.tokens);
    cached.push((await figuresOf(engine)).cachedPromptTokens);
  }
  // A whole block: what is left of a prompt has to be computed for the scores of its last token.
  expect(cached).toEqual([0, 64, 64, 128]);
});

test('the bytes that are announced are those of the rows in use', async () => {
  await using engine = await started('llama');
  const { prompt } = greedyOf('llama').at(-1) ?? { prompt: [] };
  for (let sequence = 0; sequence < 8; sequence += 1) {
    engine.open(sequence, 4, 1e12, { owner: 'alice' });
    engine.turn(sequence, [ids([sequence, ...prompt.slice(1)])]);
    await engine.until(() => engine.chunks(sequence).length === 4);
  }
  const stats = (): number[] =>
    engine.frames.flatMap((frame) => (frame.type === 'STATS' ? [frame.stateBytes] : []));
  const told = stats().length;
  await engine.until(() => stats().length > told + 1);
  // Eight rows of 192 columns, and for each of them two blocks for others that begin so.
  expect(stats().at(-1)).toBe(bytesOf('llama', 8 * (192 + 128)));
});
