import { readFileSync } from 'node:fs';
import path from 'node:path';

/** The version in the package.json of this folder. */
export function packageVersion(folder: string): string {
  const file = path.join(folder, 'package.json');
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return version;
}
