import path from 'node:path';
import { loadManifest } from '@cabstand/model';
import type { ModelEntry } from '@cabstand/model';
import { UsageError } from '../errors';
import { findModels } from '../served/find';
import { isModelName } from '../served/name';

/**
 * The module that a name or a folder means.
 *
 * @param repository in which a name is looked for
 * @throws UsageError where there is none, or where it is a model of another kind.
 */
export async function moduleAt(wanted: string, repository: string): Promise<ModelEntry> {
  const models = await entriesAt(wanted, repository);
  const [only, ...more] = models;
  if (only === undefined || more.length > 0)
    throw new UsageError(
      `${wanted} is ${models.length === 0 ? 'no module' : `${models.length} models`}`,
      'Name the folder of one: it holds model.yaml, and <version>/index.ts.',
    );
  const { kind } = await loadManifest(only.folder, undefined, {
    digest: false,
    variant: only.variant,
  });
  if (kind !== 'module')
    throw new UsageError(
      `${wanted} is a ${kind} model, and no module`,
      `Its graphs are checked by: cabstand model check ${wanted}`,
    );
  return only;
}

/** A name first: a folder of the same name beside it is meant by ./NAME. */
async function entriesAt(wanted: string, repository: string): Promise<readonly ModelEntry[]> {
  if (isModelName(wanted)) {
    const inside = await findModels(repository).catch(() => undefined);
    const named =
      inside?.kind === 'repository'
        ? inside.models.find(({ name, variant }) => name === wanted && variant === undefined)
        : undefined;
    if (named !== undefined) return [named];
  }
  const found = await findModels(wanted);
  if (found.kind === 'repository')
    return found.models.filter(({ variant }) => variant === undefined);
  throw new UsageError(
    `${wanted} holds no module`,
    `Looked for model.yaml and <version>/index.ts there, and for ${wanted} in ${path.resolve(repository)}.`,
  );
}
