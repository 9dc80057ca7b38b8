/** Models for a provider: copies of the bundled ones and of a language model, and one with much state. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Provider } from '@cabstand/model';
import { loadManifest } from '@cabstand/model';
import { BUNDLED_MODELS, LANGUAGE_MODELS } from '@cabstand/testing';
import { addLargeModel } from '../../support/large-state';
import { editManifest } from '../../support/models';

export const LANGUAGE = 'llama';

export interface Greedy {
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
}

/** What transformers answers. */
export const ANSWERS = JSON.parse(
  readFileSync(path.join(LANGUAGE_MODELS, `${LANGUAGE}-greedy.json`), 'utf8'),
) as Greedy[];

export interface Repository {
  readonly folder: string;
  /** Those of the bundled ones that have graphs, and golden data to be compared with. */
  readonly golden: readonly string[];
  /** Those that have none: what they compute with, their code opens. */
  readonly without: readonly string[];
  /** Of so much state. */
  readonly large: string;
}

/** @param rows most of a run of Silero's */
export async function repositoryFor(
  folder: string,
  provider: Provider,
  { mib, rows }: { readonly mib: number; readonly rows: number },
): Promise<Repository> {
  const golden: string[] = [];
  const without: string[] = [];
  for (const name of ['g2p', 'silero-vad', 'text-orientation', 'plasma', 'voice-events']) {
    const { module, golden: data } = await loadManifest(path.join(BUNDLED_MODELS, name));
    if (module !== undefined || data.file === undefined) {
      without.push(name);
      continue;
    }
    golden.push(name);
    cpSync(path.join(BUNDLED_MODELS, name), path.join(folder, name), { recursive: true });
    on(provider, path.join(folder, name));
  }
  editManifest(
    path.join(folder, 'silero-vad'),
    (text) => `${text}\nbatching: { max_batch: ${rows} }\n`,
  );
  addLargeModel(folder, mib);
  on(provider, path.join(folder, `mib${mib}`));
  cpSync(path.join(LANGUAGE_MODELS, LANGUAGE), path.join(folder, LANGUAGE), { recursive: true });
  mkdirSync(path.join(folder, LANGUAGE), { recursive: true });
  writeFileSync(
    path.join(folder, LANGUAGE, 'model.yaml'),
    `name: ${LANGUAGE}\nkind: language-model\nproviders: [${provider}]\n`,
  );
  return { folder, golden, without, large: `mib${mib}` };
}

/** Served by it alone: where it fails, the model does. */
function on(provider: Provider, folder: string): void {
  editManifest(
    folder,
    (text) => `${text.replace(/^providers:.*\n/m, '')}\nproviders: [${provider}]\n`,
  );
}
