/** What lies in a model repository. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegular } from '../files/regular';
import { onnxFiles } from './graph-files';

import { variantNames } from './variants';
import { LARGEST_MANIFEST, parseYaml } from './yaml';

/** A model that a repository holds. */
export interface ModelEntry {
  readonly name: string;
  readonly folder: string;
  /** For `loadManifest`; undefined for the model itself. */
  readonly variant: string | undefined;
}

/** The versions of a model, newest first. Empty if there are none. */
export async function listVersions(folder: string): Promise<string[]> {
  const names = await foldersIn(folder);
  return names
    .filter((name) => /^[1-9][0-9]{0,8}$/.test(name))
    .sort((a, b) => Number(b) - Number(a));
}

/**
 * Models and their variants, sorted by name: the folders of a repository with a model.yaml, or a version that
 * holds ONNX files. Of two with one name the first is taken.
 */
export async function listModels(repository: string): Promise<ModelEntry[]> {
  const models = new Map<string, ModelEntry>();
  const add = (entry: ModelEntry): void => {
    if (!models.has(entry.name)) models.set(entry.name, entry);
  };
  const variants: ModelEntry[] = [];
  for (const name of (await foldersIn(repository)).sort()) {
    const folder = join(repository, name);
    const file = join(folder, 'model.yaml');
    const there = (await stat(file).catch(() => undefined)) !== undefined;
    if (!there && !(await holdsGraphs(folder))) continue;
    add({ name: modelNameOf(name), folder, variant: undefined });
    // Whoever loads a model whose manifest cannot be read is told so.
    const manifest = await readRegular(file, LARGEST_MANIFEST).catch(() => undefined);
    for (const variant of variantsOf(manifest?.toString('utf8') ?? '', folder))
      variants.push({ name: variant, folder, variant });
  }
  variants.forEach(add);
  return [...models.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A folder's name as one of a model: in lower case, `-` for what a name cannot have. */
export function modelNameOf(folder: string): string {
  const name = folder
    .toLowerCase()
    .replace(/[^a-z0-9._-]/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 64);
  return name === '' ? 'model' : name;
}

/** The usual name of golden data. */
export function goldenName(variant?: string): string {
  return variant === undefined ? 'golden.json' : `golden-${variant}.json`;
}

/** Whoever loads a model whose manifest is no YAML is told so. */
function variantsOf(manifest: string, folder: string): string[] {
  try {
    return variantNames(parseYaml(manifest, folder));
  } catch {
    return [];
  }
}

async function holdsGraphs(folder: string): Promise<boolean> {
  const [newest] = await listVersions(folder);
  return newest !== undefined && (await onnxFiles(join(folder, newest))).length > 0;
}

/** Links to folders are folders. */
async function foldersIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const linked = entry.isSymbolicLink() && (await isFolder(join(folder, entry.name)));
    if (entry.isDirectory() || linked) names.push(entry.name);
  }
  return names;
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
