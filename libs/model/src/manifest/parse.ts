/** YAML text → the written manifest, or an error that names file, key, value and what was expected. */
import { problemsOfIssue } from './issues';
import { manifestProblem, problemsOf } from './problems';
import { manifestSchema } from './schema';
import type { WrittenManifest } from './schema';
import { ofVariant } from './variants';
import { parseYaml } from './yaml';

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
