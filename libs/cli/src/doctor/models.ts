import { stat } from 'node:fs/promises';
import { listModels, loadManifest } from '@cabstand/model';
import type { ModelEntry } from '@cabstand/model';
import { allOf, fail, messageOf, ok } from './finding';
import type { Finding } from './finding';
import { checkEntry } from '../models/check';
import type { CheckOptions } from '../models/check';
import { servedAs } from '../render/model-report';
import { findModels } from '../served/find';

const ADVICE =
  'docs/adding-a-model.md lists the keys; the folder must hold what the manifest names.';

/** Whether a hoster could serve each model of a folder, found out as hosters do. */
export async function* checkModels(folder: string, options: CheckOptions): AsyncGenerator<Finding> {
  const models = await modelsIn(folder);
  if (!Array.isArray(models)) {
    yield models;
    return;
  }
  for (const model of models) {
    const report = await checkEntry(model, options);
    const name = `model ${report.name}`;
    yield report.ok
      ? ok(name, `v${report.manifest.version}, ${report.manifest.kind}, ${servedAs(report)}`)
      : fail(name, report.problems.join('\n'), ADVICE);
  }
}

/**
 * Whether the model folder and each manifest in it are in order.
 *
 * @param only look at these models; default: all.
 */
export async function checkManifests(folder: string, only?: readonly string[]): Promise<Finding[]> {
  const found = await modelsIn(folder);
  if (!Array.isArray(found)) return [found];
  const models = found.filter(({ name }) => only?.includes(name) !== false);
  return Promise.all(
    models.map(async ({ name, folder: own, variant }) => {
      try {
        const { version, kind } = await loadManifest(own, undefined, { variant, digest: false });
        return ok(`model ${name}`, `v${version}, ${kind}: the manifest is valid`);
      } catch (error) {
        return fail(`model ${name}`, allOf(error), ADVICE);
      }
    }),
  );
}

async function modelsIn(folder: string): Promise<ModelEntry[] | Finding> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory() !== true)
    return fail(
      'models',
      found === undefined ? `there is no ${folder}` : `${folder} is no folder`,
      'Name the model folder with --models DIR.',
    );
  try {
    const models = await listModels(folder);
    if (models.length > 0) return models;
  } catch (error) {
    return fail('models', `${folder}: ${messageOf(error)}`, 'It has to be readable.');
  }
  // A model, or what one can be made of.
  const other = await findModels(folder).catch(() => undefined);
  return fail(
    'models',
    `${folder} holds no models`,
    other === undefined
      ? 'docs/adding-a-model.md says what belongs there.'
      : `It is no model repository: \`cabstand serve ${folder}\` serves it as it is.`,
  );
}

/** The provider that each model of a folder is to run on, where that can be had; of models whose manifest is in order. */
export async function preferredProviders(folder: string): Promise<Map<string, string>> {
  const found = await modelsIn(folder);
  if (!Array.isArray(found)) return new Map();
  const read = await Promise.all(
    found.map(async ({ name, folder: own, variant }) => {
      try {
        const manifest = await loadManifest(own, undefined, { variant, digest: false });
        const [first] = manifest.providers;
        return first === undefined ? [] : [[name, first] as const];
      } catch {
        // The check of the models says what is wrong with it.
        return [];
      }
    }),
  );
  return new Map(read.flat());
}
