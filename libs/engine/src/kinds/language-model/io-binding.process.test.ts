/** Language models whose caches lie in the memory of a device, here the CPU's: answers are those of transformers. */
import { EXACT_NAMES, greedyOf } from './models.fixture';
import { ids, snapshotAfter, started, tokensOf } from './served.fixture';

jest.setTimeout(60_000);

test.each(EXACT_NAMES)('%s answers alone, all at once, and from a snapshot', async (name) => {
  await using engine = await started(name, { runtime: 'io-binding' });
  const answers = greedyOf(name);
  const parameters = { max_tokens: 48 };
  for (const [sequence, { prompt, tokens }] of answers.entries()) {
    engine.open(sequence);
    engine.turn(sequence, [ids(prompt)], { parameters });
    await engine.ended(sequence);
    expect(tokensOf(engine, sequence)).toEqual(tokens);
  }
  const all = answers.map((answer, at) => ({ ...answer, sequence: 100 + at }));
  for (const { sequence, prompt } of all) {
    engine.open(sequence);
    engine.turn(sequence, [ids(prompt)], { parameters });
  }
  for (const { sequence, tokens } of all) {
    await engine.ended(sequence);
    expect(tokensOf(engine, sequence)).toEqual(tokens);
  }
  expect(Math.max(...engine.batches)).toBeGreaterThan(4);
  const [{ prompt, tokens } = { prompt: [], tokens: [] }] = answers;
  const snapshot = await snapshotAfter(engine, 200, 10, prompt, parameters);
  engine.open(201, 1e6, 1e12, { restore: snapshot });
  engine.turn(201, [ids(prompt)], { parameters, continued: true });
  await engine.ended(201);
  expect(tokensOf(engine, 201)).toEqual(tokens.slice(10));
});

test('it says how ONNX Runtime is called', async () => {
  await using engine = await started('llama-gqa', { runtime: 'io-binding' });
  const loaded = engine.frames.find(({ type }) => type === 'LOADED');
  expect(loaded).toMatchObject({ runtime: expect.stringContaining('I/O binding') as string });
});
