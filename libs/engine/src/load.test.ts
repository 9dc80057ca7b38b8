/** What an engine process answers to a model that it is to load. */
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUNDLED, Engine, OWN, SHARED } from './engine.fixture';

jest.setTimeout(60_000);

describe('a model that cannot be served', () => {
  let folder: string;
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'cabstand-model-')), 'accumulator');
    cpSync(join(SHARED, 'accumulator'), folder, { recursive: true });
  });
  afterEach(() => rmSync(join(folder, '..'), { recursive: true }));

  test('a corrupt ONNX file is named', async () => {
    truncateSync(join(folder, '1/accumulator.onnx'), 100);
    await using engine = await Engine.start();
    const failed = await engine.load(folder);
    expect(failed).toMatchObject({ type: 'FAILED', reason: 'MANIFEST_INVALID' });
    expect(failed).toHaveProperty('message', expect.stringContaining('accumulator.onnx'));
    expect(await engine.exited).toBe(1);
  });

  test('golden data that it does not answer is refused with figures', async () => {
    const file = join(folder, 'golden.json');
    const golden = JSON.parse(readFileSync(file, 'utf8')) as {
      sequences: { records: { outputs: { sum: { base64: string } } }[] }[];
    };
    const record = golden.sequences[1]?.records[7];
    if (record !== undefined)
      record.outputs.sum.base64 = Buffer.from(Float32Array.of(0.5).buffer).toString('base64');
    writeFileSync(file, JSON.stringify(golden));
    await using engine = await Engine.start();
    const failed = await engine.load(folder, { verify: true });
    expect(failed).toMatchObject({ type: 'FAILED', reason: 'VERIFICATION_FAILED' });
    expect(failed).toHaveProperty(
      'message',
      expect.stringContaining('sequence 1, record 7, output sum'),
    );
  });

  test.each(['cuda', 'tensorrt'] as const)(
    'a missing provider (%s) fails at once',
    async (provider) => {
      await using engine = await Engine.start();
      const answer = await engine.load(folder, { provider, verify: true });
      if (answer.type === 'FAILED') expect(answer.reason).toBe('MODEL_FAILED');
      else expect(answer.provider).toBe(provider);
    },
  );
});

test('Silero on WebGPU is served only if it computes what it should', async () => {
  await using engine = await Engine.start();
  const answer = await engine.load(join(BUNDLED, 'silero-vad'), {
    provider: 'webgpu',
    verify: true,
  });
  // No adapter; or a software one, on which ONNX Runtime 1.30 computes something else.
  if (answer.type === 'FAILED')
    expect(answer.reason).toMatch(/^(MODEL_FAILED|VERIFICATION_FAILED)$/);
  else expect(answer.goldenError).toBeLessThanOrEqual(1e-4);
});

test.each([
  [SHARED, 'accumulator', 'exact', 16],
  [SHARED, 'leaky', 'unbatched', 1],
  [OWN, 'mixer', 'exact', 16],
  [SHARED, 'counter-generator', 'exact', 16],
])('%s/%s is measured as %s', async (root, name, batchClass, maxBatch) => {
  await using engine = await Engine.start();
  const answer = await engine.load(join(root, name), { verify: true });
  expect(answer).toMatchObject({ type: 'LOADED', batchClass, maxBatch });
});
