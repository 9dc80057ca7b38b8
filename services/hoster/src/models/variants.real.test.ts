/** Variants of one manifest are served beside each other, each by an engine of its own. Needs a build. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openModelHost } from './host';

const ACCUMULATOR = path.resolve(__dirname, '../../../../test/models/accumulator');

let root: string;
beforeEach(() => (root = mkdtempSync(path.join(tmpdir(), 'mv-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('variants and links are models of their own names', async () => {
  const models = path.join(root, 'models');
  const folder = path.join(models, 'accumulator');
  cpSync(ACCUMULATOR, folder, { recursive: true });
  cpSync(path.join(folder, 'golden.json'), path.join(folder, 'golden-quiet.json'));
  const manifest = path.join(folder, 'model.yaml');
  const yaml = readFileSync(manifest, 'utf8').replace(/^name: .*\n/m, '');
  const variants = 'variants: { quiet: { inputs: { signal: { maximum: 500 } } } }';
  writeFileSync(manifest, `${yaml}\n${variants}\n`);
  symlinkSync(folder, path.join(models, 'linked'));
  const host = await openModelHost({ repositories: [models], socketParent: root, strict: true });
  try {
    await host.settled();
    expect(
      host
        .models()
        .map(({ name, status }) => `${name} is ${status.state}`)
        .sort(),
    ).toEqual(['accumulator is ready', 'linked is ready', 'quiet is ready']);
    const [base, linked, quiet] = ['accumulator', 'linked', 'quiet'].map((name) =>
      host.resolve(name),
    );
    expect(quiet?.signature).toMatchObject({ variant: 'quiet', inputs: [{ maximum: 500 }] });
    expect(quiet?.digest).not.toBe(base?.digest);
    expect(linked?.digest).toBe(base?.digest);
    expect(await host.load('quiet')).toBe(quiet);
  } finally {
    await host.stop();
  }
}, 60_000);
