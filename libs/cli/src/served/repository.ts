import { copyFile, link, mkdir, realpath, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import type { LooseModel } from './find';

/**
 * Makes a model repository of links to the models' files; one that was there is replaced. A change of a
 * file shows in it, and the files themselves stay as they are. Answers the folders that symbolic links lead
 * into: a hoster follows links into its folders of models only.
 */
export async function makeRepository(
  repository: string,
  models: readonly LooseModel[],
): Promise<readonly string[]> {
  await rm(repository, { recursive: true, force: true });
  const linked = new Set<string>();
  for (const { name, files } of models)
    for (const [inner, file] of files) {
      const source = await placeLink(file, path.join(repository, name, inner));
      if (source !== undefined) linked.add(path.dirname(source));
    }
  return [...linked];
}

/**
 * A hard link where that can be: ONNX Runtime refuses external data that a symbolic link takes out of
 * the model's folder. Else a symbolic one, or a copy on systems that have neither. Answers where a symbolic
 * one leads.
 */
export async function placeLink(file: string, target: string): Promise<string | undefined> {
  await mkdir(path.dirname(target), { recursive: true });
  const source = await realpath(file).catch(() => undefined);
  // What is missing is told by whoever loads the model.
  if (source === undefined) return undefined;
  return await link(source, target)
    .then(() => undefined)
    .catch(() => symlink(source, target).then(() => source))
    .catch(() => copyFile(source, target).then(() => undefined));
}

/** A message that names links, in full or from the repository on, with the files that they lead to. */
export function asFound(
  message: string,
  repository: string,
  models: readonly LooseModel[],
): string {
  const found = new Map<string, string>();
  for (const { name, files } of models) {
    for (const [inner, file] of files) found.set(path.join(name, inner), file);
    // The manifest that nobody wrote.
    found.set(path.join(name, 'model.yaml'), name);
  }
  const links = [...found.keys()].sort((a, b) => b.length - a.length).map(escaped);
  const named = new RegExp(
    `(?:${escaped(repository + path.sep)}|(?<![\\w./-]))(${links.join('|')})`,
    'g',
  );
  return message.replaceAll(named, (_, link: string) => found.get(link) ?? link);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
