/** Copies of the exports of test/language-models and test/encoder-models, to be damaged. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { loadManifest } from '../manifest/load';

const TEST = join(__dirname, '../../../../test');
const placeOf = (name: string): string =>
  ['language-models', 'encoder-models']
    .map((folder) => join(TEST, folder, name, '1'))
    .find(existsSync) ?? '';

export class Exports implements Disposable {
  readonly #root = mkdtempSync(join(tmpdir(), 'cabstand-exports-'));

  /** A copy of a model; `change` gets the path of its version's folder. */
  copy(name: string, change: (version: string) => void = () => undefined): string {
    const folder = join(this.#root, name);
    rmSync(folder, { recursive: true, force: true });
    cpSync(placeOf(name), join(folder, '1'), { recursive: true });
    change(join(folder, '1'));
    return folder;
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true });
  }
}

/** Changes one JSON file; a list takes its place. */
export const edit = (file: string, values: object) => (version: string) => {
  const path = join(version, file);
  const before = JSON.parse(readFileSync(path, 'utf8')) as object;
  const after = Array.isArray(values) ? values : { ...before, ...values };
  writeFileSync(path, JSON.stringify(after));
};

/** Why a folder is not served. */
export async function refusal(folder: string): Promise<string> {
  const error: unknown = await loadManifest(folder).catch((thrown: unknown) => thrown);
  if (!CabstandError.is(error)) throw new Error('it was loaded');
  expect(error.reason).toBe('MANIFEST_INVALID');
  return error.message;
}
