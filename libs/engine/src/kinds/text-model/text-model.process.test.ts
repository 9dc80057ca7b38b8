import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { arrayOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { Engine } from '../../engine.fixture';
import { decodeChunk } from '../../verify/decode-chunk';

jest.setTimeout(60_000);

const MODELS = join(__dirname, '../../../../../test/encoder-models');

/** What sentence-transformers answers. */
interface Embedded {
  readonly text: string;
  /** As far as the model reads. */
  readonly ids: readonly number[];
  readonly mean: readonly number[];
  readonly cls: readonly number[];
  readonly max: readonly number[];
  readonly normalized: readonly number[];
}

/** What transformers answers. */
interface Classified {
  readonly text: string;
  readonly logits: readonly number[];
  readonly scores: readonly number[];
  readonly sigmoid: readonly number[];
}

const read = (name: string): unknown =>
  JSON.parse(readFileSync(join(MODELS, `${name}.json`), 'utf8'));
const embedded = read('sentence-bert') as Embedded[];
const classified = read('topic-bert') as Classified[];

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-text-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** A model with some of its files changed. */
function copy(name: string, changed: Readonly<Record<string, object>> = {}): string {
  const folder = join(root, name);
  cpSync(join(MODELS, name), folder, { recursive: true });
  for (const [file, values] of Object.entries(changed)) {
    const path = join(folder, '1', file);
    const before = JSON.parse(readFileSync(path, 'utf8')) as object;
    const after = Array.isArray(values) ? values : { ...before, ...values };
    writeFileSync(path, JSON.stringify(after));
  }
  return folder;
}

async function started(folder: string): Promise<Engine> {
  const engine = await Engine.start();
  const loaded = await engine.load(folder, { verify: true, maxBatch: 16 });
  if (loaded.type === 'FAILED') throw new Error(loaded.message);
  // Padding is hidden by the mask: texts may run together.
  expect(loaded).toMatchObject({ type: 'LOADED', maxBatch: 16, unbatchedBecause: '' });
  return engine;
}

const texts = (...strings: string[]): Tensor => ({
  ...{ name: 'text', dtype: 'string', shape: [strings.length] },
  ...{ data: new Uint8Array(0), strings },
});

/** Rows of the only record of a sequence. */
function rowsOf(engine: Engine, sequence: number): number[][] {
  const chunks = engine.chunks(sequence);
  expect(chunks).toHaveLength(1);
  const [output] = decodeChunk(chunks[0] ?? Buffer.alloc(0)).outputs;
  const [rows = 0, width = 0] = output?.shape ?? [];
  const values = output === undefined ? [] : Array.from(arrayOf(output), Number);
  return Array.from({ length: rows }, (_, row) => values.slice(row * width, (row + 1) * width));
}

function expectClose(got: readonly number[] | undefined, expected: readonly number[]): void {
  expect(got).toHaveLength(expected.length);
  const far = expected.map((value, at) => Math.abs(value - (got?.[at] ?? NaN)));
  expect(Math.max(...far)).toBeLessThan(2e-5);
}

const pooling = (mode: 'mean' | 'cls' | 'max'): Record<string, boolean> => ({
  pooling_mode_mean_tokens: mode === 'mean',
  pooling_mode_cls_token: mode === 'cls',
  pooling_mode_max_tokens: mode === 'max',
});
const modules = [
  { path: '', type: 'sentence_transformers.models.Transformer' },
  { path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
];

test.each(['mean', 'cls', 'max', 'normalized'] as const)(
  'vectors are those of sentence-transformers: %s',
  async (how) => {
    const changed = {
      'modules.json': modules,
      '1_Pooling/config.json': pooling(how === 'normalized' ? 'mean' : how),
    };
    await using engine = await started(
      how === 'normalized' ? copy('sentence-bert') : copy('sentence-bert', changed),
    );
    // One after another, then all at once and of several owners, then all in one turn.
    for (const [sequence, answer] of embedded.entries()) {
      engine.open(sequence);
      engine.turn(sequence, [texts(answer.text)]);
      expect((await engine.ended(sequence)).end).toEqual({
        ...{ reason: 'completed', steps: 1 },
        generation: { prompt: answer.ids.length, cached: 0, answer: 0 },
      });
      expectClose(rowsOf(engine, sequence)[0], answer[how]);
    }
    for (const [index, { text }] of embedded.entries()) {
      engine.open(100 + index);
      if (text === '') engine.turn(100 + index, [texts(text)]);
      else engine.turn(100 + index, [], { prompt: text });
    }
    for (const [index, answer] of embedded.entries()) {
      await engine.ended(100 + index);
      expectClose(rowsOf(engine, 100 + index)[0], answer[how]);
    }
    const many = [...embedded, ...embedded, ...embedded];
    engine.open(200);
    engine.turn(200, [texts(...many.map(({ text }) => text))]);
    await engine.ended(200);
    const rows = rowsOf(engine, 200);
    for (const [row, answer] of many.entries()) expectClose(rows[row], answer[how]);
  },
);

test.each([
  ['scores', {}],
  ['sigmoid', { problem_type: 'multi_label_classification' }],
  ['logits', { problem_type: 'regression' }],
] as const)('labels have the %s of transformers with %j', async (how, config) => {
  await using engine = await started(copy('topic-bert', { 'config.json': config }));
  for (const [sequence, answer] of classified.entries()) {
    engine.open(sequence);
    engine.turn(sequence, [texts(answer.text)]);
    await engine.ended(sequence);
    expectClose(rowsOf(engine, sequence)[0], answer[how]);
  }
});

test('a turn that was begun elsewhere is computed again', async () => {
  await using engine = await started(copy('topic-bert'));
  const [answer] = classified;
  engine.open(1, 0);
  engine.turn(1, [texts(answer?.text ?? '')]);
  engine.send({ type: 'SNAPSHOT', sequence: 1 });
  const find = (): Buffer | undefined =>
    engine.of(1).flatMap((item) => (item.kind === 'snapshot' ? item.data : []))[0];
  await engine.until(() => find() !== undefined);
  engine.open(2, 1e6, 1e12, { restore: find() ?? Buffer.alloc(0) });
  engine.turn(2, [texts(answer?.text ?? '')], { continued: true });
  expect((await engine.ended(2)).end).toMatchObject({ reason: 'completed', steps: 1 });
  expectClose(rowsOf(engine, 2)[0], answer?.scores ?? []);
});

test('no texts, and too many, are refused; others go on', async () => {
  await using engine = await started(copy('topic-bert'));
  engine.open(1);
  engine.turn(1, [texts(...Array.from({ length: 4097 }, () => ''))]);
  expect((await engine.ended(1)).end).toMatchObject({ error: { reason: 'LIMIT_EXCEEDED' } });
  engine.turn(1, [texts('Short.')], { turn: 2 });
  await engine.until(() => engine.chunks(1).length === 1);
});
