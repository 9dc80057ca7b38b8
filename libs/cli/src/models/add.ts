import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { inferKind, listVersions, manifestText, readGraph } from '@cabstand/model';
import type { ModelEntry } from '@cabstand/model';
import { findingsOf } from './findings';
import { UsageError } from '../errors';
import { findModels } from '../served/find';
import type { LooseModel } from '../served/find';
import type { ModelReport } from './check';
import { GOLDEN_FILES } from './renew-golden';
import type { GoldenRenewed } from './renew-golden';
import { copyInto, exists, stageModel } from './staged';

export interface AddOptions {
  readonly repository: string;
  readonly name: string | undefined;
  /** Write over the manifest and the newest version. */
  readonly force: boolean;
  /** Computes the golden data anew with these weights before that; default: they stay. */
  readonly renew?: ((folder: string) => Promise<GoldenRenewed>) | undefined;
  /** Tries the model as it is going to be, in a folder of its own. */
  readonly check: (entry: ModelEntry) => Promise<ModelReport>;
}

export interface Added {
  readonly name: string;
  readonly folder: string;
  readonly version: string;
  /** `same`: these very files were there. */
  readonly file: 'new' | 'same';
  /** The version that was the newest until now, where this one takes its place. */
  readonly before: string | undefined;
  /** False: it failed, and what was there before stays as it was. */
  readonly placed: boolean;
  readonly report: ModelReport;
  /** Undefined where that was not asked for. */
  readonly renewed: GoldenRenewed | undefined;
  readonly manifest: string;
  readonly manifestWritten: boolean;
  /** What is in force now, with why. */
  readonly inferred: readonly string[];
  /** What the graph leaves open; the manifest says what to write. */
  readonly open: readonly string[];
}

const MANIFEST = 'model.yaml';
/** Whatever it was called: a manifest holds for all versions. */
const GRAPH = 'model.onnx';

/**
 * Copies an ONNX file with its external data into a repository, as the next version of its name, and
 * writes a manifest where there is none. A file that fails takes no other's place: until it was checked,
 * nothing of the model is touched.
 *
 * @throws UsageError for what is no single ONNX file.
 */
export async function addModel(file: string, options: AddOptions): Promise<Added> {
  const { repository, force, check, renew } = options;
  if (/\.[mc]?[jt]s$/.test(file))
    throw new UsageError(
      `${file} is code: only ONNX files are added`,
      'A module is a folder of its own: `cabstand module init NAME` makes one, and index.ts goes there.',
    );
  const model = await singleFile(file, options.name);
  const summary = await readGraph(file).catch((error: unknown) => {
    throw new UsageError(CabstandError.from(error).message, undefined, error);
  });
  const folder = path.join(repository, model.name);
  const versions = (await exists(folder)) ? await listVersions(folder) : [];
  if (await isModule(folder))
    throw new UsageError(
      `${folder} is a module: its next version is a folder ${Number(versions[0] ?? 0) + 1} with code of its own`,
      'Weights that its code loads are copied into the folder of its version. Or choose another --name.',
    );
  const files = filesOf(file, model);
  await mustExist(files.values());
  const same = await sameAs(folder, versions, files);
  const version = same ?? (force ? (versions[0] ?? '1') : String(Number(versions[0] ?? 0) + 1));
  const manifest = path.join(folder, MANIFEST);
  const write = force || !(await exists(manifest));
  const inference = inferKind(summary);
  const staged = await stageModel(folder, version, force ? [MANIFEST] : []);
  try {
    if (same === undefined)
      for (const [inner, source] of files)
        await copyInto(source, path.join(staged.folder, version, inner));
    if (write)
      await writeFile(
        path.join(staged.folder, MANIFEST),
        manifestText(inference, { name: model.name }),
      );
    const renewed = await renew?.(staged.folder);
    const report = renamed(
      await check({ name: model.name, folder: staged.folder, variant: undefined }),
      staged.named,
    );
    const replaces = versions.length > 0 && (same === undefined || force || renewed !== undefined);
    // A working model must not go out of service for a file that cannot take its place.
    const placed = report.ok || !replaces;
    if (placed)
      await staged.place([
        ...(same === undefined ? [version] : []),
        ...(write ? [MANIFEST] : []),
        ...(renewed === undefined ? [] : await goldenIn(staged.folder)),
      ]);
    return {
      ...{ name: model.name, folder, version, file: same === undefined ? 'new' : 'same' },
      before: replaces ? versions[0] : undefined,
      ...{ placed, manifest, manifestWritten: write && placed, report },
      renewed: renewed && { ...renewed, file: staged.named(renewed.file) },
      ...findingsOf(inference),
    };
  } finally {
    await staged.discard();
  }
}

async function isModule(folder: string): Promise<boolean> {
  const text = await readFile(path.join(folder, MANIFEST), 'utf8').catch(() => '');
  return /^kind:\s*["']?module\b/m.test(text);
}

async function goldenIn(folder: string): Promise<string[]> {
  const there: string[] = [];
  for (const file of GOLDEN_FILES) if (await exists(path.join(folder, file))) there.push(file);
  return there;
}

function renamed(report: ModelReport, named: (text: string) => string): ModelReport {
  return report.ok ? report : { ...report, problems: report.problems.map(named) };
}

async function singleFile(file: string, name: string | undefined): Promise<LooseModel> {
  const found = await findModels(file, name);
  const [model, ...more] = found.kind === 'loose' ? found.models : [];
  if (model !== undefined && more.length === 0 && !model.files.has(MANIFEST)) return model;
  throw new UsageError(
    `${file} is no single ONNX file`,
    'Models with manifests or versions are served as they lie: `cabstand serve`, or copy the folder.',
  );
}

/** Path within a version's folder → the file it is. */
function filesOf(graph: string, { files }: LooseModel): ReadonlyMap<string, string> {
  const own = path.resolve(graph);
  return new Map(
    [...files].map(([inner, file]) => [
      file === own ? GRAPH : inner.split(path.sep).slice(1).join(path.sep),
      file,
    ]),
  );
}

/** The version that holds the same files. */
async function sameAs(
  folder: string,
  versions: readonly string[],
  files: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  for (const version of versions) {
    const targets = [...files].map(async ([inner, file]) => {
      const target = path.join(folder, version, inner);
      return (await exists(target)) && (await digest(target)) === (await digest(file));
    });
    if ((await Promise.all(targets)).every(Boolean)) return version;
  }
  return undefined;
}

/** @throws UsageError naming all that are missing, before anything is written. */
async function mustExist(files: Iterable<string>): Promise<void> {
  const missing: string[] = [];
  for (const file of files) if (!(await exists(file))) missing.push(file);
  if (missing.length > 0)
    throw new UsageError(
      `there is no ${missing.join(', ')}`,
      'Weights of their own belong beside the ONNX file, under the names that it gives them.',
    );
}

async function digest(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(file)) hash.update(part as Buffer);
  return hash.digest('hex');
}
