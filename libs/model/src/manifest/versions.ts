import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** The versions of a model, newest first. Empty if there are none. */
export async function listVersions(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && /^[1-9][0-9]{0,8}$/.test(entry.name))
    .map((entry) => entry.name)
    .sort((a, b) => Number(b) - Number(a));
}

/** Names of the folders of a repository that hold a model.yaml, sorted. */
export async function listModels(repository: string): Promise<string[]> {
  const entries = await readdir(repository, { withFileTypes: true });
  const names: string[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const files = await readdir(join(repository, entry.name));
    if (files.includes('model.yaml')) names.push(entry.name);
  }
  return names.sort();
}
