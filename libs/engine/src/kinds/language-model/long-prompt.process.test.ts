import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tensorOf } from '@cabstand/tensor';
import { Engine } from '../../engine.fixture';
import type { SnapshotItem } from '../../frames/types';
import { folderOf } from './models.fixture';

jest.setTimeout(60_000);

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-long-prompt-'));
});
afterAll(() => rmSync(root, { recursive: true }));

/** More than 1,000 characters, so a thread of its own reads it, and fewer tokens than the context holds. */
const LONG = '</s>'.repeat(250) + ' router';
const SHORT = tensorOf('input_ids', BigInt64Array.of(5n, 6n, 7n), [3]);

/** A snapshot of a turn with this prompt after its first record. */
async function snapshotOf(engine: Engine, prompt: string, parameters: object): Promise<Buffer> {
  engine.open(1, 1);
  engine.turn(1, [], { prompt, parameters: { ...parameters } });
  await engine.until(() => engine.chunks(1).length === 1);
  engine.send({ type: 'SNAPSHOT', sequence: 1 });
  const find = (): SnapshotItem | undefined =>
    engine.of(1).find((item): item is SnapshotItem => item.kind === 'snapshot');
  await engine.until(() => find() !== undefined);
  return find()?.data ?? Buffer.alloc(0);
}

test('a continued turn that ends while its prompt is read again leaves a usable session', async () => {
  await using engine = await Engine.start();
  await engine.load(folderOf('llama'));
  const parameters = { temperature: 2, seed: 3 };
  const restore = await snapshotOf(engine, LONG, parameters);
  const next = { turn: 1, parameters: { max_tokens: 3 } };

  engine.open(2, 1e6, 1e12, { restore, snapshots: true });
  engine.turn(2, [], { prompt: LONG, continued: true, parameters });
  engine.send({ type: 'CANCEL', sequence: 2, turn: 0 });
  expect((await engine.ended(2)).end).toMatchObject({ reason: 'cancelled' });
  engine.turn(2, [SHORT], next);
  expect((await engine.ended(2, 1)).end).toMatchObject({ reason: 'completed', steps: 3 });

  // Another prompt is refused after it was read, and that is all.
  engine.open(3, 1e6, 1e12, { restore });
  engine.turn(3, [], { prompt: LONG.slice(4), continued: true, parameters });
  expect((await engine.ended(3)).end).toMatchObject({ error: { reason: 'CHECKPOINT_INVALID' } });
  engine.turn(3, [SHORT], next);
  expect((await engine.ended(3, 1)).end).toMatchObject({ reason: 'completed', steps: 3 });
});

/** The model with one file changed. */
function changed(file: string, change: (json: Record<string, unknown>) => void): string {
  const folder = join(mkdtempSync(join(root, 'm-')), 'llama');
  cpSync(folderOf('llama'), folder, { recursive: true });
  const path = join(folder, '1', file);
  const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  change(json);
  writeFileSync(path, JSON.stringify(json));
  return folder;
}

test('a prompt whose session is closed or whose turn is cancelled holds nobody up', async () => {
  await using engine = await Engine.start();
  await engine.load(changed('config.json', (json) => (json['max_position_embeddings'] = 40_000)));
  // Reading it takes longer than the test may.
  const prompt = ' '.repeat(2_000_000);
  engine.open(1, 1e6, 1e12, { owner: 'a' });
  engine.turn(1, [], { prompt });
  engine.open(2, 1e6, 1e12, { owner: 'c' });
  engine.turn(2, [], { prompt });
  engine.open(3, 1e6, 1e12, { owner: 'b' });
  engine.turn(3, [], { prompt: LONG, parameters: { max_tokens: 3 } });
  engine.send({ type: 'CLOSE', sequence: 1 });
  engine.send({ type: 'CANCEL', sequence: 2, turn: 0 });
  expect((await engine.ended(3)).end).toMatchObject({ reason: 'completed', steps: 3 });
}, 20_000);

test('a prompt that cannot fit into the context is refused before it is read', async () => {
  await using engine = await Engine.start();
  await engine.load(folderOf('llama'));
  engine.open(1);
  engine.turn(1, [], { prompt: ' '.repeat(2_000_000) });
  const { end } = await engine.ended(1);
  expect(end).toMatchObject({ reason: 'error', error: { reason: 'LIMIT_EXCEEDED' } });
  expect(JSON.stringify(end)).toContain('at most 36864: the context holds 256 tokens');
}, 20_000);
