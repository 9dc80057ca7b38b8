import { readFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { exportFiles, listModels, listVersions, readGraph } from '@cabstand/model';
import type { ModelEntry } from '@cabstand/model';
import { UsageError } from '../errors';
import { isModelName, modelName, requireModelName } from './name';

/** What there is to serve at a path. */
export type Found =
  /** A model repository, served as it lies there. */
  | {
      readonly kind: 'repository';
      readonly repository: string;
      readonly models: readonly ModelEntry[];
    }
  /** Models that lie otherwise: a repository is made of links to their files. */
  | {
      readonly kind: 'loose';
      readonly models: readonly LooseModel[];
      /** Folders of models beside files that are served: they are not. */
      readonly leftOut: readonly string[];
    };

export interface LooseModel {
  readonly name: string;
  /** Path within the model's folder of a repository → the file it is. */
  readonly files: ReadonlyMap<string, string>;
}

/** What a folder holds of what makes up models. */
interface Contents {
  readonly folder: string;
  readonly manifest: boolean;
  /** Those that hold an ONNX file; beside a manifest, the code of a module as well. */
  readonly versions: readonly string[];
  readonly onnx: readonly string[];
  readonly folders: readonly string[];
}

const MANIFEST = 'model.yaml';
const FIRST = '1';

/**
 * Finds models at a path: an ONNX file; a folder with one model (`model.yaml`, `<version>/*.onnx` or
 * both); a folder of ONNX files; or a folder of such folders, as Triton has them.
 *
 * @param name for a single model, instead of the one that its file or folder gives.
 * @throws UsageError when there is none.
 */
export async function findModels(where: string, name?: string): Promise<Found> {
  if (name !== undefined) requireModelName(name);
  const full = path.resolve(where);
  const found = await stat(full).catch(() => undefined);
  if (found === undefined) throw new UsageError(`there is no ${where}`);
  if (!found.isDirectory()) {
    if (!isOnnx(full))
      throw new UsageError(`${where} is no ONNX file`, 'Its name has to end in .onnx.');
    return loose([await fileModel(full, name)], name);
  }
  const contents = await look(full);
  if (isModel(contents)) {
    return contents.versions.length > 0 && (name === undefined || name === path.basename(full))
      ? asItLies(path.dirname(full), [full])
      : loose([await folderModel(contents, name)], name);
  }
  const holds = (child: Contents): boolean => isModel(child) || child.onnx.length > 0;
  const beside = contents.onnx.length > 0 ? await exportFiles(full) : undefined;
  if (beside !== undefined) return loose([await exportedModel(contents, beside, name)], name);
  if (contents.onnx.length > 0) {
    // One that cannot be read is no reason not to serve the files.
    const inner = await Promise.allSettled(contents.folders.map((child) => look(child)));
    const leftOut = inner.flatMap((one) =>
      one.status === 'fulfilled' && holds(one.value) ? [one.value.folder] : [],
    );
    return loose(await filesOf(contents, name), name, leftOut);
  }
  const children = await Promise.all(contents.folders.map((child) => look(child)));
  const models = children.filter(holds);
  if (models.length === 0)
    throw new UsageError(
      `${where} holds no model`,
      'Looked for *.onnx, model.yaml, <version>/*.onnx, and for folders that hold these.',
    );
  if (name === undefined && models.every(({ versions }) => versions.length > 0))
    return asItLies(
      full,
      models.map(({ folder }) => folder),
    );
  const all = await Promise.all(
    models.map(async (child) => {
      if (isModel(child)) return [await folderModel(child)];
      const told = await exportFiles(child.folder);
      return told === undefined ? filesOf(child) : [await exportedModel(child, told)];
    }),
  );
  return loose(all.flat(), name);
}

/** Variants that manifests declare are models too. */
async function asItLies(repository: string, folders: readonly string[]): Promise<Found> {
  const models = (await listModels(repository)).filter(({ folder }) => folders.includes(folder));
  return { kind: 'repository', repository, models };
}

function loose(
  models: readonly LooseModel[],
  name: string | undefined,
  leftOut: readonly string[] = [],
): Found {
  if (name !== undefined && models.length > 1)
    throw new UsageError(`--name ${name}: there are ${models.length} models`);
  const taken = new Set<string>();
  const unique = models.map((model) => {
    let free = model.name;
    for (let i = 2; taken.has(free); i++) free = `${model.name.slice(0, 60)}-${i}`;
    taken.add(free);
    return { ...model, name: free };
  });
  return { kind: 'loose', models: unique, leftOut };
}

async function look(folder: string): Promise<Contents> {
  const entries = await readdir(folder, { withFileTypes: true });
  const visible = entries.filter(({ name }) => !name.startsWith('.'));
  const manifest = visible.some(({ name }) => name === MANIFEST);
  const versions: string[] = [];
  for (const version of await listVersions(folder)) {
    const files = await readdir(path.join(folder, version));
    if (files.some((file) => isOnnx(file) || (manifest && isCode(file)))) versions.push(version);
  }
  return {
    folder,
    manifest,
    versions,
    onnx: visible
      .filter((entry) => !entry.isDirectory() && isOnnx(entry.name))
      .map(({ name }) => path.join(folder, name))
      .sort(),
    folders: visible
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => path.join(folder, name))
      .sort(),
  };
}

function isModel({ manifest, versions }: Contents): boolean {
  return manifest || versions.length > 0;
}

function isCode(name: string): boolean {
  return /\.[mc]?[jt]s$/.test(name);
}

function isOnnx(file: string): boolean {
  return file.toLowerCase().endsWith('.onnx');
}

/** A single file is named after its folder: exporters call every file model.onnx. */
async function filesOf({ folder, onnx }: Contents, name?: string): Promise<LooseModel[]> {
  const [only, ...more] = onnx;
  if (only !== undefined && more.length === 0)
    return [await fileModel(only, name ?? modelName(folderName(folder)))];
  return Promise.all(onnx.map((file) => fileModel(file)));
}

function folderName(folder: string): string {
  const own = path.basename(folder);
  return /^\d+$/.test(own) ? path.basename(path.dirname(folder)) : own;
}

/** As its exporter wrote it: the graphs, and the files that tell of them. */
async function exportedModel(
  { folder, onnx }: Contents,
  beside: readonly string[],
  name?: string,
): Promise<LooseModel> {
  const files = new Map<string, string>();
  for (const file of onnx)
    for (const [inner, target] of (await fileModel(file)).files) files.set(inner, target);
  for (const file of beside) files.set(path.join(FIRST, file), path.join(folder, file));
  return { name: name ?? modelName(folderName(folder)), files };
}

/** With the files that hold its weights, where they lie outside of it. */
async function fileModel(file: string, name?: string): Promise<LooseModel> {
  const folder = path.dirname(file);
  const files = new Map([[path.join(FIRST, path.basename(file)), file]]);
  for (const external of await externalFiles(file)) {
    const target = path.normalize(external);
    // ONNX Runtime refuses what lies elsewhere, and says so.
    if (path.isAbsolute(target) || target.startsWith('..')) continue;
    files.set(path.join(FIRST, target), path.join(folder, target));
  }
  return { name: name ?? modelName(path.basename(file, path.extname(file))), files };
}

async function externalFiles(file: string): Promise<readonly string[]> {
  try {
    return (await readGraph(file)).externalFiles;
  } catch {
    // Not an ONNX file: whoever loads it says what is wrong.
    return [];
  }
}

/** All its files; those that should lie in a version's folder and do not are put into one. */
async function folderModel({ folder, versions }: Contents, name?: string): Promise<LooseModel> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const files = new Map<string, string>();
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const inner = path.relative(folder, file);
    const stays = versions.length > 0 || inner === MANIFEST || /^golden[^/]*$/.test(inner);
    files.set(stays ? inner : path.join(FIRST, inner), file);
  }
  return { name: name ?? (await writtenName(folder)) ?? modelName(path.basename(folder)), files };
}

/** The name that its manifest has. */
async function writtenName(folder: string): Promise<string | undefined> {
  const text = await readFile(path.join(folder, MANIFEST), 'utf8').catch(() => '');
  const name = /^name:\s*["']?([^"'\s#]+)/m.exec(text)?.[1];
  return name !== undefined && isModelName(name) ? name : undefined;
}
