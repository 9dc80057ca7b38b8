import { copyFile, mkdir, mkdtemp, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { listVersions } from '@cabstand/model';
import { placeLink } from '../served/repository';

/** What a model is going to be, beside it and out of sight of hosters. */
export interface StagedModel {
  /** With the model's name, and the one version alone. */
  readonly folder: string;
  /** The text with the paths that the files are going to have. */
  readonly named: (text: string) => string;
  /** Puts what was written over what is there: each by a rename, so none is ever half there. */
  readonly place: (inner: Iterable<string>) => Promise<void>;
  /** The files are there as they were before. */
  readonly discard: () => Promise<void>;
}

/**
 * Makes a copy of a model's folder with a single version, to be changed, tried and put in its place. What
 * is not to be changed is linked: write nothing into a file of it.
 *
 * @param leave files of the folder that the copy is not to have
 */
export async function stageModel(
  folder: string,
  version: string,
  leave: readonly string[] = [],
): Promise<StagedModel> {
  const repository = path.dirname(folder);
  await mkdir(repository, { recursive: true });
  // A repository's models have no dot in front.
  const aside = await mkdtemp(path.join(repository, '.trial-'));
  const staged = path.join(aside, path.basename(folder));
  const discard = (): Promise<void> => rm(aside, { recursive: true, force: true });
  try {
    await mkdir(staged);
    const others = (await exists(folder)) ? await listVersions(folder) : [];
    const left = new Set([...others.filter((other) => other !== version), ...leave]);
    for (const inner of await filesIn(folder))
      if (!left.has(inner.split(path.sep)[0] ?? ''))
        await placeLink(path.join(folder, inner), path.join(staged, inner));
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    folder: staged,
    named: (text) => text.replaceAll(staged, folder).replaceAll(path.resolve(staged), folder),
    place: async (inner) => {
      await mkdir(folder, { recursive: true });
      for (const name of inner) {
        const target = path.join(folder, name);
        // A folder is not renamed over another.
        const before = path.join(aside, 'before');
        const moved = await isFolder(target);
        if (moved) await rename(target, before);
        try {
          await rename(path.join(staged, name), target);
        } catch (error) {
          if (moved) await rename(before, target);
          throw error;
        }
      }
    },
    discard,
  };
}

/** Copies a file in, in the place of a link that may be there. */
export async function copyInto(source: string, target: string): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  await rm(target, { force: true });
  await copyFile(await realpath(source), target);
}

async function filesIn(folder: string): Promise<string[]> {
  if (!(await exists(folder))) return [];
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

async function isFolder(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.isDirectory() === true;
}

export async function exists(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined)) !== undefined;
}
