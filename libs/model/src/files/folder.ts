/** The files of a model's folder: what may lie there, and where links in it may lead. */
import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';

/** More are no model. */
const MOST_FILES = 10_000;

/** Says what is wrong with one path, relative to the folder. */
export type OnProblem = (inner: string, got: string, expected: string) => void;

/**
 * Paths of the files under a folder, sorted. Folders that begin with two dots are left out: Kubernetes keeps
 * the files of a mounted volume in such, under names that change, and links to them.
 *
 * @throws Error where there are more than 10,000.
 */
export async function filesUnder(folder: string): Promise<string[]> {
  return (await entriesUnder(folder, () => true)).map(pathOf).sort();
}

/**
 * Tells of everything in a model's folder that is no regular file, folder, or link to a file. Other versions
 * than the given one are not looked at.
 *
 * @param within folders that links may lead into, beside the model's own; undefined: anywhere.
 */
export async function checkFolder(
  folder: string,
  version: string,
  within: readonly string[] | undefined,
  onProblem: OnProblem,
): Promise<void> {
  const roots =
    within &&
    (await Promise.all([folder, ...within].map((root) => realpath(root).catch(() => root))));
  const own = (name: string): boolean => name === version || !/^[0-9]+$/.test(name);
  const top = await entriesUnder(folder, own);
  // A version may be a link to a folder, which a walk does not enter.
  const inner = top.some((entry) => entry.isSymbolicLink() && entry.name === version)
    ? await entriesUnder(join(folder, version), () => true)
    : [];
  for (const entry of [...top, ...inner]) {
    if (entry.isFile()) continue;
    const path = pathOf(entry);
    const name = relative(folder, path);
    if (!entry.isSymbolicLink()) {
      onProblem(name, kindOf(entry), 'a regular file');
      continue;
    }
    const target = await realpath(path).catch(() => undefined);
    const found = target === undefined ? undefined : await stat(target).catch(() => undefined);
    // Whoever needs the file says that it is missing.
    if (target === undefined || found === undefined) continue;
    if (!found.isFile() && !(found.isDirectory() && name === version))
      onProblem(name, `a link to ${kindOf(found)}`, 'a regular file');
    else if (roots?.some((root) => isWithin(target, root)) === false)
      onProblem(name, 'a link', 'a file in the folder of models: its target lies elsewhere');
  }
}

async function entriesUnder(folder: string, enter: (name: string) => boolean): Promise<Dirent[]> {
  const entries: Dirent[] = [];
  const waiting = [folder];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
    for (const entry of await readdir(next, { withFileTypes: true })) {
      if (entry.name.startsWith('..') || (next === folder && !enter(entry.name))) continue;
      if (entry.isDirectory()) waiting.push(pathOf(entry));
      else entries.push(entry);
      if (entries.length + waiting.length > MOST_FILES)
        throw new Error(`${folder} holds more than ${MOST_FILES} files`);
    }
  return entries;
}

function pathOf(entry: Dirent): string {
  return join(entry.parentPath, entry.name);
}

function isWithin(target: string, root: string): boolean {
  return target === root || target.startsWith(root.endsWith(sep) ? root : `${root}${sep}`);
}

function kindOf(
  entry: Pick<
    Dirent,
    'isFIFO' | 'isSocket' | 'isCharacterDevice' | 'isBlockDevice' | 'isDirectory'
  >,
): string {
  if (entry.isFIFO()) return 'a pipe';
  if (entry.isSocket()) return 'a socket';
  if (entry.isDirectory()) return 'a folder';
  return entry.isCharacterDevice() || entry.isBlockDevice() ? 'a device' : 'something else';
}
