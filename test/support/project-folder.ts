/** Folders in which the programs of the documentation lie as in a project that has installed their packages. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';

/**
 * Makes an empty project of ECMAScript modules; the caller removes it. It lies within the repository, so that packages
 * are found, and among what was built, so that the linters that run beside the tests do not look into it.
 */
export function projectFolder(): string {
  const folder = mkdtempSync(path.join(REPOSITORY_ROOT, 'test', 'dist', 'project-'));
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }');
  return folder;
}
