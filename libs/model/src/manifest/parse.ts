/** YAML text → the written manifest, or an error that names file, key, value and what was expected. */
import { LineCounter, parseDocument } from 'yaml';
import { CabstandError } from '@cabstand/core';
import { problemsOfIssue } from './issues';
import { manifestProblem, problemsOf } from './problems';
import { manifestSchema } from './schema';
import type { WrittenManifest } from './schema';
import { ofVariant } from './variants';

/**
 * @param variant merged over the rest; undefined for the model itself.
 * @throws CabstandError MANIFEST_INVALID naming all that is wrong.
 */
export function parseManifest(text: string, file: string, variant?: string): WrittenManifest {
  const written = parseYaml(text, file) ?? {};
  const chosen = variant === undefined ? written : ofVariant(written, variant, file);
  const result = manifestSchema.safeParse(chosen);
  if (result.success) return result.data;
  const [first, ...others] = result.error.issues.flatMap((issue) =>
    problemsOfIssue(issue, manifestSchema, chosen, file),
  );
  if (first === undefined) throw manifestProblem(file, '(root)', chosen, 'a manifest');
  throw problemsOf(file, [first, ...others]);
}

/** @throws CabstandError MANIFEST_INVALID naming line and column. */
export function parseYaml(text: string, file: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const broken = document.errors[0];
  if (broken !== undefined) {
    const { line, col } = lines.linePos(broken.pos[0]);
    const what =
      broken.code === 'DUPLICATE_KEY'
        ? `key ${keyAt(text, broken.pos[0])} is there twice in one map`
        : broken.message;
    throw new CabstandError('MANIFEST_INVALID', `${file}:${line}:${col}: not YAML: ${what}`, {
      metadata: { file, field: `line ${line}`, expected: 'YAML' },
    });
  }
  // Bounds what aliases may expand to.
  return document.toJS({ maxAliasCount: 100 });
}

function keyAt(text: string, position: number): string {
  const rest = text.slice(position, position + 100);
  return /^("[^"]*"|'[^']*'|[^\s:]+)/.exec(rest)?.[0] ?? rest;
}
