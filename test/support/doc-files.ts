/** Files of the documentation: blocks whose first line names them in a comment. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';

export interface DocFile {
  readonly path: string;
  readonly text: string;
}

export function filesOf(...pages: readonly string[]): DocFile[] {
  return pages.flatMap((page) => {
    const text = readFileSync(path.join(REPOSITORY_ROOT, page), 'utf8');
    const blocks = text.matchAll(
      /^```(?:ts(?: check)?|yaml)\n(?:\/\/|#) ([\w./-]+\.\w+)\n([^]*?)^```$/gm,
    );
    return [...blocks].map(([, file = '', content = '']) => ({ path: file, text: content }));
  });
}
