import { mkdirSync, readFileSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CabstandError } from '@cabstand/core';
import { loadManifest } from '@cabstand/model';
import { Folder } from '../folder.fixture';
import { initModule } from '../models/init-module';
import { ModuleCopy } from './module-copy';
import { Reloads } from './reload';

let root: Folder;
beforeEach(() => (root = new Folder()));
afterEach(() => root.remove());

/** A module of an author's, its copy in a repository, and what is told of both. */
async function served(load: (version: string) => Promise<void> = () => Promise.resolve()) {
  const made = await initModule(path.join(root.path, 'mine'), 'waves');
  const repository = path.join(root.path, 'served');
  const copy = await ModuleCopy.make(repository, made);
  const told: string[] = [];
  const loaded: string[] = [];
  const reloads = new Reloads({
    copies: [copy],
    load: async (name, version) => {
      loaded.push(`${name} v${version}`);
      await load(version);
    },
    tell: (what) => told.push(what),
  });
  let saves = 0;
  return {
    ...{ made, copy, told, loaded, reloads, folder: path.join(repository, 'waves') },
    save: (file: string, from: string, to: string): void => {
      const text = readFileSync(file, 'utf8');
      expect(text).toContain(from);
      writeFileSync(file, text.replace(from, to));
      // Of another time than before, on any file system.
      const time = new Date(Date.now() + ++saves * 5000);
      utimesSync(file, time, time);
    },
    /** As many looks as a saved file needs until it is taken. */
    look: async (): Promise<void> => {
      for (let look = 0; look < 3; look += 1) await reloads.look();
    },
  };
}

const versionsIn = (folder: string): string[] =>
  readdirSync(folder).filter((name) => /^\d+$/.test(name));

test('a saved file is loaded once, beside what was there, which stays as it was', async () => {
  const { made, save, look, told, loaded, folder } = await served();
  await look();
  expect({ told, loaded }).toEqual({ told: [], loaded: [] });
  const { digest } = await loadManifest(folder, '1');
  save(made.file, 'WIDTH = 64', 'WIDTH = 65');
  await look();
  await look();
  expect(loaded).toEqual(['waves v2']);
  expect(told).toEqual(['waves v2 is loaded: new sessions get it, those that run keep theirs']);
  const codeOf = (version: string): string =>
    readFileSync(path.join(folder, version, 'index.ts'), 'utf8');
  expect(codeOf('1')).toContain('WIDTH = 64');
  expect(codeOf('2')).toContain('WIDTH = 65');
  // An engine of version 1 that starts anew compares this.
  expect((await loadManifest(folder, '1')).digest).toBe(digest);
});

test('what cannot be loaded is taken away again, and told; the next save is tried', async () => {
  const fails = new CabstandError('MODULE_FAILED', 'index.ts:3:17: ParseError');
  let broken = true;
  const { made, save, look, told, folder } = await served(() =>
    broken ? Promise.reject(fails) : Promise.resolve(),
  );
  const before = readFileSync(path.join(folder, 'model.yaml'), 'utf8');
  save(made.file, 'WIDTH = 64', 'WIDTH = (');
  save(made.manifest, 'Waves of light', 'Waves');
  await look();
  expect(told).toEqual([
    'waves v1 goes on, as what was saved cannot be loaded:\n  index.ts:3:17: ParseError',
  ]);
  expect(versionsIn(folder)).toEqual(['1']);
  expect(readFileSync(path.join(folder, 'model.yaml'), 'utf8')).toBe(before);
  await look();
  expect(told).toHaveLength(1);
  broken = false;
  save(made.file, 'WIDTH = (', 'WIDTH = 66');
  await look();
  expect(told[1]).toMatch(/^waves v2 is loaded/);
});

test('a manifest that is wrong changes nothing, and its key is told', async () => {
  const { made, save, look, told, loaded, folder } = await served();
  save(made.manifest, 'survival: replay', 'survival: maybe');
  await look();
  expect(loaded).toEqual([]);
  expect(told).toEqual([expect.stringMatching(/waves v1 goes on[^]*survival: got "maybe"/)]);
  expect((await loadManifest(folder)).module?.survival).toBe('replay');
});

test('a save that changes nothing, and one under way, load nothing', async () => {
  const { made, save, reloads, look, loaded } = await served();
  save(made.file, 'WIDTH = 64', 'WIDTH = 64');
  await look();
  expect(loaded).toEqual([]);
  for (let part = 0; part < 3; part += 1) {
    save(made.file, 'const HEIGHT', `// ${part}\nconst HEIGHT`);
    await reloads.look();
  }
  expect(loaded).toEqual([]);
  await look();
  expect(loaded).toEqual(['waves v2']);
});

test('a version that the author adds is what is loaded', async () => {
  const { made, look, loaded, folder } = await served();
  mkdirSync(path.join(made.folder, '7'));
  writeFileSync(path.join(made.folder, '7', 'index.ts'), '// seven');
  await look();
  expect(loaded).toEqual(['waves v7']);
  expect(readFileSync(path.join(folder, '7', 'index.ts'), 'utf8')).toBe('// seven');
});

test('packages that the code finds from where it lies are found from the copy', async () => {
  mkdirSync(path.join(root.path, 'node_modules', 'thing'), { recursive: true });
  const { folder } = await served();
  expect(readdirSync(path.join(folder, 'node_modules'))).toEqual(['thing']);
});
