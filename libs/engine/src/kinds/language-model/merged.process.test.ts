import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { merged } from './merged.fixture';
import { folderOf, greedyOf } from './models.fixture';
import { ids, startedFrom, tokensOf } from './served.fixture';

jest.setTimeout(60_000);

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-merged-'));
});
afterEach(() => rmSync(root, { recursive: true }));

test.each(['gpt2', 'llama'] as const)(
  '%s as a merged decoder answers as transformers does, alone and among others',
  async (name) => {
    const version = join(root, name, '1');
    cpSync(folderOf(name), join(root, name), { recursive: true });
    const graph = readFileSync(join(version, 'model.onnx'));
    rmSync(join(version, 'model.onnx'));
    writeFileSync(join(version, 'decoder_model_merged.onnx'), merged(graph));
    writeFileSync(join(version, 'decoder_with_past_model.onnx'), graph);
    await using engine = await startedFrom(join(root, name));
    const answers = greedyOf(name);
    const [first] = answers;
    engine.open(99);
    engine.turn(99, [ids(first?.prompt ?? [])], { parameters: { max_tokens: 48 } });
    await engine.ended(99);
    expect(tokensOf(engine, 99)).toEqual(first?.tokens);
    for (const [sequence, { prompt }] of answers.entries()) {
      engine.open(sequence);
      engine.turn(sequence, [ids(prompt)], { parameters: { max_tokens: 48 } });
    }
    for (const [sequence, { tokens }] of answers.entries()) {
      await engine.ended(sequence);
      expect(tokensOf(engine, sequence)).toEqual(tokens);
    }
    expect(Math.max(...engine.batches)).toBeGreaterThan(4);
  },
);
