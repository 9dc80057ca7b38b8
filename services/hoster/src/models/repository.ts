import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { CabstandError, invalid } from '@cabstand/core';
import { listModels, listVersions } from '@cabstand/model';

/** Where models lie: name → folder. With several repositories the first that has a name gives it. */
export class ModelRepository {
  readonly #folders: readonly string[];

  constructor(folders: readonly string[]) {
    if (folders.length === 0)
      throw invalid('INVALID_ARGUMENT', 'models.repositories', folders, 'at least one folder');
    this.#folders = folders.map((folder) => path.resolve(folder));
  }

  /** Reads the disk anew: models may have been added. Throws INVALID_ARGUMENT for a missing folder. */
  async scan(): Promise<ReadonlyMap<string, string>> {
    const models = new Map<string, string>();
    for (const repository of this.#folders) {
      const found = await stat(repository).catch(() => undefined);
      if (found?.isDirectory() !== true)
        throw invalid('INVALID_ARGUMENT', 'models.repositories', repository, 'a folder of models');
      for (const name of await listModels(repository))
        if (!models.has(name)) models.set(name, await realpath(path.join(repository, name)));
    }
    return models;
  }

  /** Folder and version to load. Throws MODEL_NOT_HERE. */
  async find(
    model: string,
    version: string | undefined,
  ): Promise<{ readonly folder: string; readonly version: string | undefined }> {
    const folder = (await this.scan()).get(model);
    if (folder === undefined)
      throw new CabstandError('MODEL_NOT_HERE', `the repository has no model ${model}`, {
        metadata: { model },
      });
    if (version !== undefined && !(await listVersions(folder)).includes(version))
      throw new CabstandError('MODEL_NOT_HERE', `${model} has no version ${version}`, {
        metadata: { model, version },
      });
    return { folder, version };
  }
}
