/** YAML text → the written manifest, or an error that names file, key, value and what was expected. */
import { LineCounter, parseDocument } from 'yaml';
import { CabstandError } from '@cabstand/core';
import { manifestProblem, problemsOf } from './problems';
import { manifestSchema } from './schema';
import type { WrittenManifest } from './schema';
import { problemsOfIssue } from './issues';

export function parseManifest(text: string, file: string): WrittenManifest {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const broken = document.errors[0];
  if (broken !== undefined) {
    const { line, col } = lines.linePos(broken.pos[0]);
    throw new CabstandError(
      'MANIFEST_INVALID',
      `${file}:${line}:${col}: not YAML: ${broken.message}`,
      { metadata: { file, field: `line ${line}`, expected: 'YAML' } },
    );
  }
  // Bounds what aliases may expand to.
  const written: unknown = document.toJS({ maxAliasCount: 100 });
  const result = manifestSchema.safeParse(written);
  if (result.success) return result.data;
  const [first, ...others] = result.error.issues.flatMap((issue) =>
    problemsOfIssue(issue, manifestSchema, written, file),
  );
  if (first === undefined) throw manifestProblem(file, '(root)', written, 'a manifest');
  throw problemsOf(file, [first, ...others]);
}
