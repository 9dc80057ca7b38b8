/** The TypeScript of the documentation. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';

export interface Snippet {
  /** File and line. */
  readonly where: string;
  /** A module that others import is named in its first line, `// name.ts`. */
  readonly name: string;
  readonly code: string;
  readonly runs: boolean;
}

/** All blocks marked `ts`; those marked `ts check` are not programs, and shared modules do not run alone. */
export function snippets(): Snippet[] {
  const pages = [
    'README.md',
    ...readdirSync(path.join(REPOSITORY_ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.md'))
      .sort()
      .map((file) => path.join('docs', file)),
  ];
  return pages.flatMap((page) => {
    const text = readFileSync(path.join(REPOSITORY_ROOT, page), 'utf8');
    return [...text.matchAll(/^```ts( check)?\n([^]*?)^```$/gm)].map((match): Snippet => {
      const [, check, code = ''] = match;
      const line = text.slice(0, match.index).split('\n').length;
      const shared = /^\/\/ ([\w-]+)\.ts\n/.exec(code)?.[1];
      return {
        where: `${page}:${String(line)}`,
        name: shared ?? `${page.replaceAll(/\W/g, '-')}-${String(line)}`,
        code,
        runs: check === undefined && shared === undefined,
      };
    });
  });
}
