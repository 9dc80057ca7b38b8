import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadManifest } from '@cabstand/model';
import { findModels } from '../served/find';
import { Folder } from '../folder.fixture';
import { initModule } from './init-module';

let folder: Folder;
beforeEach(() => (folder = new Folder()));
afterEach(() => folder.remove());

test('a new module has its code, its manifest, and what an editor needs', async () => {
  const made = await initModule(path.join(folder.path, 'models'), 'waves');
  expect(await loadManifest(made.folder)).toMatchObject({
    ...{ kind: 'module', name: 'waves', notes: [] },
    module: { file: path.resolve(made.file), survival: 'replay' },
  });
  expect(readFileSync(made.file, 'utf8')).toContain('export default class');
  // Nothing is left of the making, and no placeholder in any file.
  expect(readdirSync(path.join(folder.path, 'models'))).toEqual(['waves']);
  const config = readFileSync(path.join(made.folder, 'tsconfig.json'), 'utf8');
  expect(config).toContain('libs/module');
  for (const file of [made.file, made.manifest])
    expect(readFileSync(file, 'utf8')).not.toContain('{{');
});

test('a new module is found where it lies, as models with graphs are', async () => {
  const made = await initModule(folder.path, 'waves');
  for (const where of [made.folder, folder.path])
    expect(await findModels(where)).toMatchObject({
      kind: 'repository',
      models: [{ name: 'waves', folder: path.resolve(made.folder) }],
    });
});

test('a folder that is there stays as it is, and the user is told', async () => {
  mkdirSync(path.join(folder.path, 'waves'));
  writeFileSync(path.join(folder.path, 'waves', 'mine.txt'), 'mine');
  await expect(initModule(folder.path, 'waves')).rejects.toThrow(/waves is there already/);
  expect(readdirSync(folder.path)).toEqual(['waves']);
  expect(readdirSync(path.join(folder.path, 'waves'))).toEqual(['mine.txt']);
});

test('a name that no model can have is refused before anything is written', async () => {
  await expect(initModule(folder.path, '../waves')).rejects.toThrow(/waves/);
  expect(readdirSync(folder.path)).toEqual([]);
});
