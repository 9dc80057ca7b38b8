// Whether a pack can be used as it says: publint reads its package.json, attw resolves its types.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const require = createRequire(import.meta.url);
const manifest = require.resolve('@arethetypeswrong/cli/package.json');
const attw = path.join(path.dirname(manifest), require(manifest).bin.attw);

/**
 * What is wrong with the tarball; undefined for nothing. Resolution as TypeScript had it before `exports` is left
 * out: it knows no subpaths, and no Node that the packages run on resolves like that.
 */
export async function lint(file) {
  const { buffer, byteOffset, byteLength } = readFileSync(file);
  const tarball = buffer.slice(byteOffset, byteOffset + byteLength);
  const { messages, pkg } = await publint({ pack: { tarball }, strict: true });
  const problems = messages.map((message) => formatMessage(message, pkg, { color: false }));
  const how = ['--profile', 'node16', '--format', 'ascii', '--no-color', '--no-emoji'];
  const done = spawnSync(process.execPath, [attw, file, ...how], { encoding: 'utf8' });
  if (done.status !== 0) problems.push(`${done.stdout}${done.stderr}`.trim());
  return problems.length === 0 ? undefined : problems.join('\n');
}
