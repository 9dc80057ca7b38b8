import type { SnapshotItem } from '../../frames/types';
import { ALL_NAMES, EXACT_NAMES, NAMES, codecOf, greedyOf, textsOf } from './models.fixture';
import { answersOf, ids, snapshotAfter, started, textOf, tokensOf } from './served.fixture';

jest.setTimeout(60_000);

test.each(EXACT_NAMES)('%s answers as transformers does, alone and among others', async (name) => {
  await using engine = await started(name);
  const answers = greedyOf(name);
  for (const [sequence, { prompt, tokens }] of answers.entries()) {
    engine.open(sequence);
    engine.turn(sequence, [ids(prompt)], { parameters: { max_tokens: 48 } });
    const { end } = await engine.ended(sequence);
    const finish = tokens.at(-1) === 2 ? 'stop' : 'length';
    const generation = { finish, prompt: prompt.length, cached: 0, answer: tokens.length };
    expect(end).toEqual({ reason: 'completed', steps: tokens.length, generation });
    expect(tokensOf(engine, sequence)).toEqual(tokens);
  }
  // All at once, and some that leave early.
  for (const [index, { prompt }] of answers.entries())
    for (const [offset, max_tokens] of [
      [100, 48],
      [200, 3 + index],
    ] as const) {
      engine.open(offset + index);
      engine.turn(offset + index, [ids(prompt)], { parameters: { max_tokens } });
    }
  for (const [index, { tokens }] of answers.entries()) {
    await engine.ended(100 + index);
    await engine.ended(200 + index);
    expect(tokensOf(engine, 100 + index)).toEqual(tokens);
    expect(tokensOf(engine, 200 + index)).toEqual(tokens.slice(0, 3 + index));
  }
});

test.each([
  ...ALL_NAMES.map((name) => [name, true] as const),
  // Nobody knows how far its scores depend on what is computed at once.
  ['llama-int4', false] as const,
])(
  '%s goes on from a snapshot in another engine (verified: %s), at every place',
  async (name, verify) => {
    await using first = await started(name);
    await using second = await started(name, { verify });
    const longest = (await answersOf(name)).at(-1) ?? { prompt: [], tokens: [] };
    const { prompt } = longest;
    let sequence = 0;
    for (const parameters of [
      { max_tokens: 48 },
      { max_tokens: 48, temperature: 1.3, top_k: 40, top_p: 0.95, seed: 11 },
    ]) {
      const alone = ++sequence;
      first.open(alone);
      first.turn(alone, [ids(prompt)], { parameters });
      await first.ended(alone);
      const whole = tokensOf(first, alone);
      if (!('seed' in parameters)) expect(whole).toEqual(longest.tokens);
      expect(whole.length).toBeGreaterThan(20);
      for (const records of [1, 7, 20]) {
        const cut = ++sequence;
        const restore = await snapshotAfter(first, cut, records, prompt, parameters);
        expect(tokensOf(first, cut)).toEqual(whole.slice(0, records));
        // Tokens, and no cache.
        expect(restore.length).toBeLessThan(400);

        second.open(cut, 1e6, 1e12, { restore });
        second.turn(cut, [ids(prompt)], { parameters, continued: true });
        expect((await second.ended(cut)).end).toMatchObject({
          ...{ reason: 'completed', steps: whole.length },
          generation: { prompt: prompt.length, answer: whole.length },
        });
        expect(tokensOf(second, cut)).toEqual(whole.slice(records));

        // Another prompt of the same length is another turn.
        const other = ++sequence;
        second.open(other, 1e6, 1e12, { restore });
        second.turn(other, [ids(prompt.map(() => 5))], { parameters, continued: true });
        expect((await second.ended(other)).end).toMatchObject({
          error: { reason: 'CHECKPOINT_INVALID', metadata: { problem: 'turn' } },
        });
      }
    }
  },
);

test.each(NAMES)('%s takes text, and its pieces of text are the whole text', async (name) => {
  await using engine = await started(name);
  const texts = textsOf(name);
  let sequence = 0;
  const codec = await codecOf(name);
  for (const { before, ids: all } of texts) {
    if (before === undefined) continue;
    engine.open(++sequence);
    engine.turn(sequence, [ids(before)], { parameters: { max_tokens: 48 } });
    await engine.ended(sequence);
    expect([...before, ...tokensOf(engine, sequence)]).toEqual(all);
    const given = textOf(engine, sequence);
    expect(given).not.toBe('');
    expect(codec.decode(all).endsWith(given)).toBe(true);
  }
  for (const { text, ids: tokens } of texts) {
    if (text === undefined) continue;
    const [spoken, fed] = [++sequence, ++sequence];
    engine.open(spoken);
    engine.turn(spoken, [], { prompt: text, parameters: { max_tokens: 8 } });
    engine.open(fed);
    engine.turn(fed, [ids(tokens)], { parameters: { max_tokens: 8 } });
    await engine.ended(spoken);
    await engine.ended(fed);
    expect(tokensOf(engine, spoken)).toEqual(tokensOf(engine, fed));
  }
});

test('what cannot be answered is refused before anything is computed', async () => {
  await using engine = await started('llama');
  const long = Array.from({ length: 256 }, () => 5);
  const cases: [readonly number[], object, string, string][] = [
    [[], {}, 'INPUT_MISSING', 'at least one token'],
    [[5, -1], {}, 'INPUT_TEXT', '0 to 447'],
    [[5, 448], {}, 'INPUT_TEXT', '0 to 447'],
    [long, {}, 'LIMIT_EXCEEDED', 'at most 255'],
    [long.slice(0, 200), { max_tokens: 57 }, 'LIMIT_EXCEEDED', 'at most 56'],
    [[5], { max_tokens: 256 }, 'PARAMETER_INVALID', 'at most 255'],
    [[5], { top_p: 1.5 }, 'PARAMETER_INVALID', 'at most 1'],
  ];
  engine.open(0);
  for (const [turn, [prompt, parameters, reason, expected]] of cases.entries()) {
    engine.turn(0, [ids(prompt)], { turn, parameters: { ...parameters } });
    const { end } = await engine.ended(0, turn);
    expect(end).toMatchObject({ reason: 'error', steps: 0, error: { reason } });
    if (end.reason === 'error') expect(end.error.message).toContain(expected);
  }
  const text = 'cab '.repeat(300);
  engine.turn(0, [], { turn: 90, prompt: text });
  expect((await engine.ended(0, 90)).end).toMatchObject({ error: { reason: 'LIMIT_EXCEEDED' } });
  // The whole context can be used, and the sequence is as good as new.
  engine.turn(0, [ids(long.slice(0, 250))], { turn: 91 });
  await engine.ended(0, 91);
  const [first] = greedyOf('llama');
  engine.turn(0, [ids(first?.prompt ?? [])], { turn: 92, parameters: { max_tokens: 5 } });
  await engine.ended(0, 92);
  expect(tokensOf(engine, 0).slice(-5)).toEqual(first?.tokens.slice(0, 5));
});

test('a long prompt is read beside the steps of others, and may be given up meanwhile', async () => {
  await using engine = await started('llama');
  const codec = await codecOf('llama');
  const [one] = greedyOf('llama');
  // Few tokens in many characters: special ones are left out of the limit by none.
  const text = '</s>'.repeat(250) + ' router';
  const ids250 = codec.encode(text);
  expect(text.length).toBeGreaterThan(1000);
  expect(ids250.length).toBeLessThan(256);
  engine.open(0);
  engine.turn(0, [], { prompt: text });
  engine.open(1);
  engine.turn(1, [ids(ids250)]);
  await engine.ended(0);
  await engine.ended(1);
  expect(tokensOf(engine, 0).length).toBeGreaterThan(0);
  expect(tokensOf(engine, 0)).toEqual(tokensOf(engine, 1));

  // Far beyond the context: refused once it was read. Another stream goes on all the while.
  engine.open(2);
  engine.turn(2, [], { prompt: 'cab stand '.repeat(3000) });
  engine.open(3);
  engine.turn(3, [], { prompt: 'cab stand '.repeat(1000), turn: 0 });
  engine.send({ type: 'SNAPSHOT', sequence: 3 });
  engine.send({ type: 'CANCEL', sequence: 3, turn: 0 });
  engine.open(4);
  engine.turn(4, [ids(one?.prompt ?? [])], { parameters: { max_tokens: 48 } });
  expect((await engine.ended(3)).end).toEqual({ reason: 'cancelled', steps: 0 });
  await engine.ended(4);
  expect(tokensOf(engine, 4)).toEqual(one?.tokens);
  expect((await engine.ended(2)).end).toMatchObject({
    reason: 'error',
    error: { reason: 'LIMIT_EXCEEDED' },
  });

  // From the snapshot of a turn whose prompt was not read.
  const unread = engine.of(3).find((item): item is SnapshotItem => item.kind === 'snapshot');
  expect(unread?.ended).toBe(false);
  engine.open(5, 1e6, 1e12, { restore: unread?.data ?? Buffer.alloc(0) });
  engine.turn(5, [], { prompt: text, continued: true });
  await engine.ended(5);
  expect(tokensOf(engine, 5)).toEqual(tokensOf(engine, 0));
});
