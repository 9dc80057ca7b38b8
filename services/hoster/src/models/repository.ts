import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { CabstandError, invalid } from '@cabstand/core';
import { listModels, listVersions } from '@cabstand/model';
import type { ModelEntry } from '@cabstand/model';

/** Where models lie, by name. With several repositories the first that has a name gives it. */
export class ModelRepository {
  /** Absolute. */
  readonly folders: readonly string[];

  constructor(folders: readonly string[]) {
    if (folders.length === 0)
      throw invalid('INVALID_ARGUMENT', 'models', folders, 'at least one folder');
    this.folders = folders.map((folder) => path.resolve(folder));
  }

  /** Reads the disk anew: models may have been added. Throws INVALID_ARGUMENT for a missing folder. */
  async scan(): Promise<ReadonlyMap<string, ModelEntry>> {
    const models = new Map<string, ModelEntry>();
    for (const repository of this.folders) {
      const found = await stat(repository).catch(() => undefined);
      if (found?.isDirectory() !== true)
        throw invalid('INVALID_ARGUMENT', 'models', repository, 'a folder that is there');
      // A model is named after its folder here, also where that is a link to another.
      for (const entry of await listModels(await realpath(repository)))
        if (!models.has(entry.name)) models.set(entry.name, entry);
    }
    return models;
  }

  /** What to load. Throws MODEL_NOT_HERE, or MODEL_FAILED where folders cannot be read. */
  async find(model: string, version: string | undefined): Promise<ModelEntry> {
    const models = await this.scan().catch((cause: unknown) => {
      // Whoever asks for a model has not written the configuration.
      throw new CabstandError('MODEL_FAILED', 'this hoster cannot read its folders of models', {
        metadata: { model },
        cause,
      });
    });
    const entry = models.get(model);
    if (entry === undefined)
      throw new CabstandError('MODEL_NOT_HERE', `the repository has no model ${model}`, {
        metadata: { model },
      });
    if (version !== undefined && !(await listVersions(entry.folder)).includes(version))
      throw new CabstandError('MODEL_NOT_HERE', `${model} has no version ${version}`, {
        metadata: { model, version },
      });
    return entry;
  }
}
