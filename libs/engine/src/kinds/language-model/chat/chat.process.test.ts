import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringTensor, tensorOf } from '@cabstand/tensor';
import { Engine } from '../../../engine.fixture';
import type { SnapshotItem } from '../../../frames/types';
import { codecOf, folderOf } from '../models.fixture';

jest.setTimeout(60_000);

const TEMPLATE = `{{ bos_token }}{% for m in messages %}
{%- if m.role == 'tool' %}{{ raise_exception('only people talk') }}{% endif %}
{{- m.role + ': ' + m.content + '</s>' }}{% endfor %}assistant:`;

let root: string;
let folder: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-chat-'));
  folder = join(root, 'llama');
  cpSync(folderOf('llama'), folder, { recursive: true });
  writeFileSync(join(folder, '1', 'chat_template.jinja'), TEMPLATE);
});
afterAll(() => rmSync(root, { recursive: true }));

const messages = (value: unknown) => [stringTensor('messages', [JSON.stringify(value)], [1])];
const HI = [{ role: 'user', content: 'A router is </s>' }];

async function expectedIds(): Promise<number[]> {
  const codec = await codecOf('llama');
  // What was said is in two pieces where it reads like a special token.
  return codec.encodePieces(['<s>user: A router is <', '/s></s>assistant:']);
}

test('a conversation is answered as its prompt is, and goes on from a snapshot', async () => {
  await using engine = await Engine.start();
  const loaded = await engine.load(folder);
  expect(loaded).toMatchObject({ type: 'LOADED', notes: [] });
  const ids = await expectedIds();
  engine.open(1);
  engine.turn(1, [tensorOf('input_ids', BigInt64Array.from(ids, BigInt), [ids.length])]);
  await engine.ended(1);
  const whole = engine.chunks(1);
  expect(whole.length).toBeGreaterThan(5);

  engine.open(2);
  engine.turn(2, messages(HI));
  await engine.ended(2);
  expect(engine.chunks(2)).toEqual(whole);

  engine.open(3, 3);
  engine.turn(3, messages(HI));
  await engine.until(() => engine.chunks(3).length === 3);
  engine.send({ type: 'SNAPSHOT', sequence: 3 });
  const find = (): SnapshotItem | undefined =>
    engine.of(3).find((item): item is SnapshotItem => item.kind === 'snapshot');
  await engine.until(() => find() !== undefined);
  engine.open(4, 1e6, 1e12, { restore: find()?.data ?? Buffer.alloc(0) });
  engine.turn(4, messages(HI), { continued: true });
  await engine.ended(4);
  expect(engine.chunks(4)).toEqual(whole.slice(3));
});

test('what is no conversation, or not one for this template, is refused and harms nobody', async () => {
  await using engine = await Engine.start();
  await engine.load(folder);
  engine.open(1);
  const cases: [unknown, string][] = [
    [[{ role: 'robot', content: 'x' }], 'messages[0].role'],
    [[{ role: 'tool', content: 'x' }], 'only people talk'],
    [{ messages: HI, tools: [{}] }, 'messages.tools'],
    [[{ role: 'user', content: 'cab '.repeat(500) }], 'at most 255'],
  ];
  for (const [turn, [value, expected]] of cases.entries()) {
    engine.turn(1, messages(value), { turn });
    const { end } = await engine.ended(1, turn);
    if (end.reason !== 'error') throw new Error(`${expected}: it ran`);
    expect(end.error.message).toContain(expected);
  }
  engine.turn(1, messages(HI), { turn: cases.length, parameters: { max_tokens: 2 } });
  expect((await engine.ended(1, cases.length)).end).toMatchObject({
    reason: 'completed',
    steps: 2,
  });
});
