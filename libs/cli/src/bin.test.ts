import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.join(__dirname, '../../..');

test('npx finds the program in a fresh clone, and it says what to run', () => {
  const { bin, scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
    bin: { cabstand: string };
    scripts: object;
  };
  expect(existsSync(path.join(ROOT, bin.cabstand))).toBe(true);
  const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-clone-'));
  const copy = path.join(folder, bin.cabstand);
  cpSync(path.join(ROOT, bin.cabstand), copy);
  const { status, stderr } = spawnSync(process.execPath, [copy, 'hoster'], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  expect(status).toBe(2);
  expect(stderr).toContain('npm run build');
  expect(scripts).toHaveProperty('build');
});
