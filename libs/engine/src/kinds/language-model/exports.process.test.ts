/** Models of the tests as other exporters write them. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { merged } from './merged.fixture';
import { folderOf, greedyOf, read } from './models.fixture';
import type { Greedy, Name } from './models.fixture';
import { ids, startedFrom, tokensOf } from './served.fixture';

jest.setTimeout(60_000);

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-exports-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** A copy of a model, and the folder of its files. */
function copyOf(name: Name): { readonly folder: string; readonly version: string } {
  const folder = join(root, name);
  cpSync(folderOf(name), folder, { recursive: true });
  return { folder, version: join(folder, '1') };
}

/** What it answers alone, and all at once. */
async function expectAnswers(folder: string, answers: readonly Greedy[]): Promise<void> {
  await using engine = await startedFrom(folder);
  const begin = (sequence: number, prompt: readonly number[]): void => {
    engine.open(sequence);
    engine.turn(sequence, [ids(prompt)], { parameters: { max_tokens: 48 } });
  };
  const alone = answers.at(-1);
  begin(99, alone?.prompt ?? []);
  await engine.ended(99);
  expect(tokensOf(engine, 99)).toEqual(alone?.tokens);
  for (const [sequence, { prompt }] of answers.entries()) begin(sequence, prompt);
  for (const [sequence, { tokens }] of answers.entries()) {
    await engine.ended(sequence);
    expect(tokensOf(engine, sequence)).toEqual(tokens);
  }
  expect(Math.max(...engine.batches)).toBeGreaterThan(4);
}

test.each(['gpt2', 'llama'] as const)(
  '%s as a merged decoder answers as transformers does',
  async (name) => {
    const { folder, version } = copyOf(name);
    const graph = readFileSync(join(version, 'model.onnx'));
    rmSync(join(version, 'model.onnx'));
    writeFileSync(join(version, 'decoder_model_merged.onnx'), merged(graph));
    writeFileSync(join(version, 'decoder_with_past_model.onnx'), graph);
    await expectAnswers(folder, greedyOf(name));
  },
);

test('a sliding window of 24 tokens: prompts and answers beyond it are those of transformers', async () => {
  const { folder, version } = copyOf('llama-gqa');
  const graph = join(folderOf('llama-gqa'), '..', 'llama-window.pb');
  writeFileSync(join(version, 'model.onnx'), readFileSync(graph));
  await expectAnswers(folder, read('llama-window-greedy.json') as Greedy[]);
});
