import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BUNDLED_MODELS } from '@cabstand/testing';

/** Copies a bundled model into another repository, under another name; answers its folder. */
export function copyModel(repository: string, model: string, name = model): string {
  const folder = path.join(repository, name);
  cpSync(path.join(BUNDLED_MODELS, model), folder, { recursive: true });
  editManifest(folder, (text) => text.replace(/^name: .*$/m, `name: ${name}`));
  return folder;
}

/** Changes a manifest; throws if it stays as it was. */
export function editManifest(folder: string, change: (text: string) => string): void {
  const file = path.join(folder, 'model.yaml');
  const before = readFileSync(file, 'utf8');
  const after = change(before);
  if (after === before && !folder.endsWith(/^name: (.*)$/m.exec(before)?.[1] ?? ''))
    throw new Error(`${file} was not changed`);
  writeFileSync(file, after);
}

/** The weights of a copied model. */
export function onnxFile(folder: string): string {
  const version = path.join(folder, '1');
  const name = readdirSync(version).find((file) => file.endsWith('.onnx'));
  if (name === undefined) throw new Error(`no weights in ${version}`);
  return path.join(version, name);
}
