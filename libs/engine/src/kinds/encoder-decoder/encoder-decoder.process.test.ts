import {
  cpSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { Engine } from '../../engine.fixture';
import {
  ids,
  snapshotAfter,
  startedFrom,
  textOf,
  tokensOf,
} from '../language-model/served.fixture';

jest.setTimeout(60_000);

const MODELS = join(__dirname, '../../../../../test/encoder-models');

/** What transformers answers. */
interface Answer {
  readonly prompt: readonly number[];
  readonly text?: string;
  readonly tokens: readonly number[];
  readonly decoded: string;
}

const answers = JSON.parse(readFileSync(join(MODELS, 't5.json'), 'utf8')) as Answer[];

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-encoder-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** T5 as one decoder, as the two in its place, or as one that computes with 8 bits. */
function t5(layout: 'merged' | 'pair' | 'int8'): string {
  const folder = join(root, layout);
  cpSync(join(MODELS, layout === 'int8' ? 't5-int8' : 't5'), folder, { recursive: true });
  if (layout === 'pair') unlinkSync(join(folder, '1', 'decoder_model_merged.onnx'));
  return folder;
}

test.each(['merged', 'pair'] as const)(
  'T5 (%s) answers as transformers does, alone and among others',
  async (layout) => {
    await using engine = await startedFrom(t5(layout));
    for (const [sequence, { prompt, tokens }] of answers.entries()) {
      engine.open(sequence);
      engine.turn(sequence, [ids(prompt)], { parameters: { max_tokens: 32 } });
      const { end } = await engine.ended(sequence);
      const generation = { prompt: prompt.length, cached: 0, answer: tokens.length };
      expect(end).toMatchObject({ reason: 'completed', steps: tokens.length, generation });
      expect(tokensOf(engine, sequence)).toEqual(tokens);
    }
    for (const [index, { prompt }] of answers.entries()) {
      engine.open(100 + index);
      engine.turn(100 + index, [ids(prompt)], { parameters: { max_tokens: 32 } });
    }
    for (const [index, { tokens }] of answers.entries()) {
      await engine.ended(100 + index);
      expect(tokensOf(engine, 100 + index)).toEqual(tokens);
    }
  },
);

test('T5 takes text and writes text', async () => {
  await using engine = await startedFrom(t5('merged'));
  for (const [sequence, { text, tokens, decoded }] of answers.entries()) {
    if (text === undefined) continue;
    engine.open(sequence);
    engine.turn(sequence, [], { prompt: text, parameters: { max_tokens: 32 } });
    await engine.ended(sequence);
    expect(tokensOf(engine, sequence)).toEqual(tokens);
    expect(textOf(engine, sequence)).toBe(decoded);
  }
});

test.each(['merged', 'pair'] as const)(
  'T5 (%s) goes on from a snapshot in another engine',
  async (layout) => {
    await using first = await startedFrom(t5(layout));
    await using second = await startedFrom(join(root, layout));
    const { prompt } = answers[4] ?? { prompt: [] };
    let sequence = 0;
    for (const parameters of [
      { max_tokens: 32 },
      { max_tokens: 32, temperature: 1.3, top_k: 40, seed: 11 },
    ]) {
      const alone = ++sequence;
      first.open(alone);
      first.turn(alone, [ids(prompt)], { parameters });
      await first.ended(alone);
      const whole = tokensOf(first, alone);
      expect(whole.length).toBeGreaterThan(20);
      for (const records of [1, 9, 20]) {
        const cut = ++sequence;
        const restore = await snapshotAfter(first, cut, records, prompt, parameters);
        // Tokens, and neither caches nor what the encoder wrote.
        expect(restore.length).toBeLessThan(300);
        second.open(cut, 1e6, 1e12, { restore });
        second.turn(cut, [ids(prompt)], { parameters, continued: true });
        expect((await second.ended(cut)).end).toMatchObject({
          reason: 'completed',
          steps: whole.length,
        });
        expect(tokensOf(second, cut)).toEqual(whole.slice(records));

        // Another input, with the same parameters, is another turn.
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

test('T5 of 8 bits, whose scores depend on what is computed at once, goes on as it was', async () => {
  await using first = await startedFrom(t5('int8'));
  await using second = await startedFrom(join(root, 'int8'));
  let sequence = 0;
  for (const { prompt } of answers)
    for (const seed of [1, 2, 3]) {
      const parameters = { max_tokens: 32, temperature: 2, seed };
      const alone = ++sequence;
      first.open(alone);
      first.turn(alone, [ids(prompt)], { parameters });
      await first.ended(alone);
      const whole = tokensOf(first, alone);
      const records = Math.ceil(whole.length / 2);
      const cut = ++sequence;
      const restore = await snapshotAfter(first, cut, records, prompt, parameters);
      second.open(cut, 1e6, 1e12, { restore });
      second.turn(cut, [ids(prompt)], { parameters, continued: true });
      await second.ended(cut);
      expect([prompt, seed, tokensOf(second, cut)]).toEqual([prompt, seed, whole.slice(records)]);
    }
});

test('graphs that do not go on from their caches are found out', async () => {
  const folder = t5('pair');
  const version = join(folder, '1');
  // A graph without a cache in the place of the one with it.
  renameSync(join(version, 'decoder_model.onnx'), join(version, 'decoder_with_past_model.onnx'));
  writeFileSync(join(version, 'decoder_model.onnx'), '');
  await using engine = await Engine.start();
  const loaded = await engine.load(folder, { verify: true });
  expect(loaded).toMatchObject({ type: 'FAILED' });
});

interface Heard {
  readonly clip: number;
  readonly language: string | null;
  readonly task: string;
  readonly tokens: readonly number[];
  readonly decoded: string;
}

const heard = JSON.parse(readFileSync(join(MODELS, 'whisper.json'), 'utf8')) as Heard[];

/** As make.py has it: two tones that slide. */
function audioOf(clip: number): Tensor {
  const samples = Float32Array.from({ length: clip === 0 ? 16_000 : 9600 }, (_, index) => {
    const t = index / 16_000;
    const slide = Math.sin(2 * Math.PI * (300 + 500 * clip) * t * (1 + t));
    return 0.4 * slide + 0.1 * Math.sin(2 * Math.PI * 3000 * t);
  });
  return tensorOf('audio', samples, [samples.length]);
}

test('Whisper hears what transformers hears: language, task, and tokens that are never chosen', async () => {
  await using engine = await startedFrom(join(MODELS, 'whisper'));
  for (const [sequence, { clip, language, task, tokens, decoded }] of heard.entries()) {
    engine.open(sequence);
    const parameters = { max_tokens: 32, task, ...(language !== null && { language }) };
    engine.turn(sequence, [audioOf(clip)], { parameters });
    await engine.ended(sequence);
    expect(tokensOf(engine, sequence)).toEqual(tokens);
    expect(textOf(engine, sequence)).toBe(decoded);
  }
});

test('Whisper takes features where nothing says how they are computed', async () => {
  const folder = join(root, 'features');
  cpSync(join(MODELS, 'whisper'), folder, { recursive: true });
  unlinkSync(join(folder, '1', 'preprocessor_config.json'));
  await using engine = await startedFrom(folder);
  const features = new Float32Array(80 * 100);
  engine.open(1);
  engine.turn(1, [tensorOf('input_features', features, [80, 100])], {
    parameters: { max_tokens: 5 },
  });
  expect((await engine.ended(1)).end).toMatchObject({ reason: 'completed', steps: 5 });
});
