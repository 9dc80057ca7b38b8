/** Reads and checks a model's manifest; what only the ONNX files can tell is checked in bind.ts. */
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { checkManifest } from './check';
import { modelDigest } from './digest';
import { normalise } from './normalise';
import { parseManifest } from './parse';
import type { Vocabularies } from './normalise-generation';
import { Problems, manifestProblem } from './problems';
import type { Report } from './problems';
import type { WrittenManifest } from './schema';
import type { Vocabulary } from './signature';
import type { Manifest } from './types';
import { listVersions } from './versions';
import { vocabularyOf } from './vocabulary';

export interface LoadManifestOptions {
  /** Compute the digest, which reads all weights. Default true. */
  readonly digest?: boolean;
}

const LARGEST_MANIFEST = 1024 * 1024;
const LARGEST_VOCABULARY = 64 * 1024 * 1024;

/**
 * Loads the manifest of the model in `folder`.
 *
 * @param version default: the highest there is.
 * @throws CabstandError MANIFEST_INVALID naming file, key, value and what was expected.
 */
export async function loadManifest(
  folder: string,
  version?: string,
  options: LoadManifestOptions = {},
): Promise<Manifest> {
  const file = join(folder, 'model.yaml');
  const written = parseManifest(await readText(file, file, '(file)', LARGEST_MANIFEST), file);
  if (written.name !== basename(folder))
    throw manifestProblem(file, 'name', written.name, `the folder's name, ${basename(folder)}`);
  const versions = await listVersions(folder);
  const chosen = version ?? versions[0];
  if (chosen === undefined || !versions.includes(chosen))
    throw manifestProblem(
      file,
      'version',
      chosen,
      versions.length === 0
        ? `a folder ${join(folder, '1')} with the ONNX files`
        : `one of the versions ${versions.join(', ')}`,
    );
  const versionFolder = join(folder, chosen);
  const problems = new Problems(file);
  await checkFiles(written, versionFolder, problems.report);
  const manifest = normalise(
    written,
    {
      file,
      folder,
      version: chosen,
      versionFolder,
      digest: options.digest === false ? '' : await modelDigest(file, versionFolder),
      vocabularies: await readVocabularies(written, file, versionFolder, problems),
      golden: await goldenFile(written, folder, problems.report),
    },
    problems.report,
  );
  checkManifest(manifest, problems.report);
  problems.throwIfAny();
  return manifest;
}

const GOLDEN = 'golden.json';

/** Golden data that lies where it usually does is used without being named. */
async function goldenFile(
  { golden }: WrittenManifest,
  folder: string,
  report: Report,
): Promise<string | undefined> {
  const path = join(folder, golden.file ?? GOLDEN);
  if (await exists(path)) return path;
  if (golden.file !== undefined)
    report('golden.file', golden.file, `a file that exists; there is no ${path}`);
  return undefined;
}

async function checkFiles(
  written: WrittenManifest,
  versionFolder: string,
  report: Report,
): Promise<void> {
  for (const [name, graph] of Object.entries(written.graphs)) {
    const path = join(versionFolder, graph.file);
    if (!(await exists(path)))
      report(`graphs.${name}.file`, graph.file, `a file that exists; there is no ${path}`);
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}

async function readVocabularies(
  written: WrittenManifest,
  file: string,
  versionFolder: string,
  problems: Problems,
): Promise<Vocabularies> {
  const readSide = async (side: 'input' | 'output'): Promise<Vocabulary | undefined> => {
    const name = written.text[side]?.vocabulary;
    if (name === undefined) return undefined;
    const key = `text.${side}.vocabulary`;
    const path = join(versionFolder, name);
    if (!(await exists(path)))
      throw manifestProblem(file, key, name, `a file that exists; there is no ${path}`);
    const text = await readText(path, file, key, LARGEST_VOCABULARY);
    let tokens: unknown;
    try {
      tokens = JSON.parse(text);
    } catch (error) {
      throw manifestProblem(
        file,
        key,
        name,
        `JSON in ${path}: ${CabstandError.from(error).message}`,
      );
    }
    if (
      !Array.isArray(tokens) ||
      tokens.length === 0 ||
      !tokens.every((t) => typeof t === 'string')
    )
      throw manifestProblem(file, key, name, `a JSON list of strings in ${path}`);
    if (new Set(tokens).size !== tokens.length)
      throw manifestProblem(file, key, name, `a list without repetitions in ${path}`);
    return vocabularyOf(tokens);
  };
  const read = (side: 'input' | 'output'): Promise<Vocabulary | undefined> =>
    readSide(side).catch((error: unknown) => {
      problems.add(CabstandError.from(error, 'MANIFEST_INVALID'));
      return undefined;
    });
  const [input, output] = [await read('input'), await read('output')];
  return { ...(input && { input }), ...(output && { output }) };
}

async function readText(path: string, file: string, key: string, limit: number): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > limit) throw manifestProblem(file, key, path, `a file of at most ${limit} bytes`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (CabstandError.is(error)) throw error;
    throw manifestProblem(file, key, path, `a readable file: ${CabstandError.from(error).message}`);
  }
}
