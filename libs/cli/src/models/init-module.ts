import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { UsageError } from '../errors';
import { requireModelName } from '../served/name';
import { MODULE_TEMPLATE, MODULE_TYPES } from '../subnet/layout';

/** Files of the template, and where they lie in the model's folder. */
const FILES = {
  'index.ts': path.join('1', 'index.ts'),
  'model.yaml': 'model.yaml',
  'tsconfig.json': 'tsconfig.json',
} as const;

/** A module that was begun. */
export interface NewModule {
  readonly name: string;
  readonly folder: string;
  /** The author's file. */
  readonly file: string;
  readonly manifest: string;
}

/**
 * Makes the folder of a module that runs as it is. The folder is there with all its files, or not at all.
 *
 * @param repository the folder that gets one of the module's name
 * @throws UsageError for a name that none can have, and where the folder is there already.
 */
export async function initModule(repository: string, wanted: string): Promise<NewModule> {
  const name = requireModelName(wanted);
  const folder = path.join(repository, name);
  await mkdir(repository, { recursive: true });
  // A repository's models have no dot in front.
  const aside = await mkdtemp(path.join(repository, '.new-'));
  const staged = path.join(aside, name);
  try {
    const types = path.relative(path.resolve(folder), MODULE_TYPES).split(path.sep).join('/');
    for (const [template, inner] of Object.entries(FILES)) {
      const text = await readFile(path.join(MODULE_TEMPLATE, `${template}.template`), 'utf8');
      const target = path.join(staged, inner);
      await mkdir(path.dirname(target), { recursive: true });
      await writeFile(target, text.replace('{{name}}', name).replace('{{types}}', types));
    }
    await claim(folder);
    await rename(staged, folder);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  const [file, manifest] = [path.join(folder, FILES['index.ts']), path.join(folder, 'model.yaml')];
  return { name, folder, file, manifest };
}

/** Makes the folder, which a rename replaces: of two at once only one gets it. */
async function claim(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new UsageError(
      `${folder} is there already`,
      'Choose another name, or another folder with --folder DIR: nothing was changed.',
      error,
    );
  }
}
