/** The folder of an exporter, as a model of its own. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TEXT_MODEL_FILES } from '../text-model/config';
import { findTextModel } from '../text-model/find';
import type { FoundTextModel } from '../text-model/find';
import { CONFIG, LANGUAGE_MODEL_FILES } from './config';
import { isFile } from './is-file';
import { PREPROCESSOR_CONFIG } from './encoder-decoder-config';
import { findLanguageModel } from './find';
import type { FoundLanguageModel } from './find';

/** Folders of sentence-transformers' modules: `1_Pooling`. */
const MODULE_FOLDER = /^[0-9]+_[A-Za-z]+$/;

export type FoundExport = FoundLanguageModel | FoundTextModel;

/**
 * What an exporter of transformers wrote into a folder; undefined: nothing that is told by its files alone.
 *
 * @param chosen the graph of a language model that a manifest names, which is then the only one looked at
 */
export async function findExport(
  folder: string,
  chosen?: string,
): Promise<FoundExport | undefined> {
  const found = await findLanguageModel(folder, chosen);
  return found ?? (chosen === undefined ? await findTextModel(folder) : undefined);
}

/**
 * The files beside the graphs that tell of a model which an exporter of transformers wrote, relative to its folder.
 * Undefined where the folder holds none.
 */
export async function exportFiles(folder: string): Promise<readonly string[] | undefined> {
  if ((await findExport(folder)) === undefined) return undefined;
  const entries = await readdir(folder);
  const modules = entries.filter((name) => MODULE_FOLDER.test(name));
  const wanted = [
    ...[...LANGUAGE_MODEL_FILES, PREPROCESSOR_CONFIG, ...TEXT_MODEL_FILES],
    ...modules.map((name) => join(name, CONFIG)),
  ];
  const there = await Promise.all(wanted.map((name) => isFile(join(folder, name))));
  return wanted.filter((_, index) => there[index]);
}
