/** Reads and checks what a folder says of its model; what only ONNX Runtime can tell is found by the engine. */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { checkFolder } from '../files/folder';
import { parseJson } from '../files/json';
import { readRegular } from '../files/regular';
import { fillManifest } from '../infer/fill';
import { checkManifest } from './check';
import { checkDims, checkSizes } from './check-graphs';
import { modelDigest } from './digest';
import { findExport } from '../language-model/export-files';
import { findLanguageModel } from '../language-model/find';
import { loadExported } from './load-language-model';
import { loadModule } from './load-module';
import { findGraphs, survivesEmpty } from './graph-files';
import { normalise } from './normalise';
import type { Vocabularies } from './normalise-generation';
import { parseAny, parseWithoutKind } from './parse';
import { Problems, manifestProblem } from './problems';
import type { Report } from './problems';
import type { WrittenManifest } from './schema';
import type { Vocabulary } from './signature';
import type { Manifest } from './types';
import { goldenName, listVersions, modelNameOf } from './versions';
import { vocabularyOf } from './vocabulary';
import { LARGEST_MANIFEST } from './yaml';

export interface LoadManifestOptions {
  /** Compute the digest, which reads all weights. Default true. */
  readonly digest?: boolean;
  /** One of the manifest's variants. Default: the model itself. */
  readonly variant?: string | undefined;
  /**
   * Folders that links in the model's folder may lead into, beside that folder itself. Default: anywhere.
   * Whoever serves what others have put there names the folders of models.
   */
  readonly within?: readonly string[] | undefined;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
}

const LARGEST_VOCABULARY = 16 * 1024 * 1024;

/**
 * Loads what is served from `folder`. model.yaml may be missing, or leave out what the ONNX files say.
 *
 * @param version default: the highest there is.
 * @throws CabstandError MANIFEST_INVALID naming file, key, value and what was expected.
 */
export async function loadManifest(
  folder: string,
  version?: string,
  { digest = true, variant, within, signal }: LoadManifestOptions = {},
): Promise<Manifest> {
  const file = join(folder, 'model.yaml');
  const named = variant === undefined ? file : `${file} (variant ${variant})`;
  const chosen = await chooseVersion(folder, version, named);
  const problems = new Problems(named);
  await checkFolder(folder, chosen, within, problems.report);
  // A manifest that is a link to something else is not read.
  problems.throwIfAny();
  const text = (await isThere(file)) ? await readText(file, file, '(file)', LARGEST_MANIFEST) : '';
  const versionFolder = join(folder, chosen);
  // Its exporter wrote what a manifest would say.
  const open = parseWithoutKind(text, named, variant);
  const exported = open && (await findExport(versionFolder, open.graph));
  const written =
    open !== undefined && exported !== undefined ? open : parseAny(text, named, variant);
  const name = nameOf(written, folder, variant, named);
  const digestOf = (): Promise<string> => modelDigest(file, versionFolder, variant, signal);
  if (written.kind === 'module') {
    // Its code is what is run: links out of the folder would let others change it.
    await checkFolder(folder, chosen, [], problems.report);
    problems.throwIfAny();
    const place = { name, folder, file, version: chosen, variant };
    const found = { ...place, digest: digest ? await digestOf() : '' };
    const module = await loadModule(written, found, problems.report);
    problems.throwIfAny();
    return module;
  }
  if (written.kind === 'language-model') {
    const place = { name, folder, file, version: chosen, variant };
    const found = { ...place, digest: digest ? await digestOf() : '' };
    const model = exported ?? (await findLanguageModel(versionFolder, written.graph));
    return await loadExported(written, found, model, problems);
  }
  const graphs = await findGraphs(written, versionFolder, problems);
  // What a graph that cannot be read or served leaves open would be reported again and again.
  if ([...graphs.values()].some((one) => one.summary === undefined && !one.written.outputs))
    problems.throwIfAny();
  if (graphs.size === 0) problems.throwIfAny();
  const filled = fillManifest(written, name, graphs, problems.report);
  checkDims(filled.manifest, graphs, problems.report);
  problems.throwIfAny();
  const manifest = normalise(
    filled.manifest,
    {
      file,
      folder,
      version: chosen,
      versionFolder,
      digest: digest ? await digestOf() : '',
      vocabularies: await readVocabularies(written, named, versionFolder, problems),
      golden: await goldenFile(written, folder, variant, problems.report),
      variant,
      notes: filled.notes,
      takesEmpty: [...graphs.values()].every(({ summary }) => survivesEmpty(summary)),
    },
    problems.report,
  );
  checkManifest(manifest, problems.report);
  checkSizes(manifest, graphs, problems.report);
  problems.throwIfAny();
  return manifest;
}

/** That of the variant or the folder. */
function nameOf(
  written: Pick<WrittenManifest, 'name'>,
  folder: string,
  variant: string | undefined,
  file: string,
): string {
  const own = modelNameOf(basename(folder));
  if (variant !== undefined) {
    if (variant === own) throw manifestProblem(file, 'variants', variant, "not the model's name");
    return variant;
  }
  if (written.name !== undefined && written.name !== own)
    throw manifestProblem(file, 'name', written.name, `the folder's name, ${own}`);
  return own;
}

async function chooseVersion(
  folder: string,
  version: string | undefined,
  file: string,
): Promise<string> {
  const versions = await listVersions(folder);
  const chosen = version ?? versions[0];
  if (chosen !== undefined && versions.includes(chosen)) return chosen;
  throw manifestProblem(
    file,
    'version',
    chosen,
    versions.length === 0
      ? `a folder ${join(folder, '1')} with the ONNX files`
      : `one of the versions ${versions.join(', ')}`,
  );
}

/** Golden data that lie where they usually do are used without being named. */
async function goldenFile(
  { golden }: WrittenManifest,
  folder: string,
  variant: string | undefined,
  report: Report,
): Promise<string | undefined> {
  const path = join(folder, golden.file ?? goldenName(variant));
  if (await exists(path)) return path;
  if (golden.file !== undefined)
    report('golden.file', golden.file, `a file that exists; there is no ${path}`);
  return undefined;
}

/** Also what is no file, to be told so. */
async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
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
    let tokens: unknown;
    try {
      tokens = parseJson(await readRegular(path, LARGEST_VOCABULARY));
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
    return (await readRegular(path, limit)).toString('utf8');
  } catch (error) {
    throw manifestProblem(file, key, path, `a readable file: ${CabstandError.from(error).message}`);
  }
}
