import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesOf } from './models.fixture';
import { TextCodec } from './tokenizer';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cabstand-tokenizer-'));
});
afterEach(() => rmSync(root, { recursive: true }));

interface Written {
  model: Record<string, unknown>;
}

/** llama's tokenizer with a change. */
async function changed(change: (written: Written) => void): Promise<TextCodec> {
  const file = join(root, 'tokenizer.json');
  cpSync(filesOf('llama').file, file);
  const written = JSON.parse(readFileSync(file, 'utf8')) as Written;
  change(written);
  writeFileSync(file, JSON.stringify(written));
  return await TextCodec.load({ file, config: undefined });
}

test('a text with characters that have no token, and no token for the unknown, is refused', async () => {
  const codec = await changed(({ model }) => {
    model['byte_fallback'] = false;
    model['unk_token'] = 'no such token';
  });
  expect(codec.encode('A router').length).toBeGreaterThan(1);
  for (const text of ['\u4e2d', 'A\u4e2dB', '\u4e2d router'])
    expect(() => codec.encode(text)).toThrow(
      expect.objectContaining({ reason: 'INPUT_TEXT' }) as Error,
    );
});
