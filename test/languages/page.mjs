// docs/languages.md: its code, and that it is that of the files it names.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { check, expect } from './report.mjs';

const ROOT = path.resolve(import.meta.dirname, '../..');
const text = readFileSync(path.join(ROOT, 'docs/languages.md'), 'utf8');

/** All blocks of a language, as they stand there. */
export function blocks(language) {
  return [...text.matchAll(/^```(\S+)\n([^]*?)^```$/gm)]
    .filter(([, kind]) => kind === language)
    .map(([, , code]) => code);
}

export async function checkPage() {
  await check('the page shows the programs as they are', () => {
    const shown = [...text.matchAll(/^<!-- (examples\/\S+) -->\n\n```\S+\n([^]*?)^```$/gm)];
    for (const [, file, code] of shown)
      expect(readFileSync(path.join(ROOT, file), 'utf8') === code, `${file} is another one`);
    expect(shown.length === 7, `got ${shown.length} programs, expected 7`);
  });
}
