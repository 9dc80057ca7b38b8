import { stat } from 'node:fs/promises';
import { listModels, loadManifest } from '@cabstand/model';
import type { ModelEntry } from '@cabstand/model';
import { allOf, fail, messageOf, ok } from './finding';
import type { Finding } from './finding';

/**
 * Whether the model folder and each manifest in it are in order.
 *
 * @param only look at these models; default: all.
 */
export async function checkManifests(folder: string, only?: readonly string[]): Promise<Finding[]> {
  let models: ModelEntry[];
  try {
    if (!(await stat(folder)).isDirectory()) throw new Error('it is not a folder');
    models = (await listModels(folder)).filter(({ name }) => only?.includes(name) !== false);
  } catch (error) {
    return [
      fail('models', `${folder}: ${messageOf(error)}`, 'Name the model folder with --models DIR.'),
    ];
  }
  if (models.length === 0)
    return [
      fail(
        'models',
        `${folder} holds no models`,
        'docs/adding-a-model.md says what belongs there.',
      ),
    ];
  return Promise.all(
    models.map(async ({ name, folder: own, variant }) => {
      try {
        const { version, kind } = await loadManifest(own, undefined, { variant, digest: false });
        return ok(`model ${name}`, `v${version}, ${kind}: the manifest is valid`);
      } catch (error) {
        return fail(
          `model ${name}`,
          allOf(error),
          'docs/adding-a-model.md lists the keys; the folder must hold what the manifest names.',
        );
      }
    }),
  );
}
