import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';

/** The same build with another version, in a folder of its own: what an operator upgrades to. Its folder goes with it. */
export class NextBuild implements Disposable {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'cabstand-next-'));

  constructor(readonly version: string) {
    const modules = path.join(this.folder, 'node_modules');
    mkdirSync(path.join(modules, '@cabstand'), { recursive: true });
    for (const name of readdirSync(path.join(REPOSITORY_ROOT, 'node_modules')))
      if (name !== '@cabstand')
        symlinkSync(path.join(REPOSITORY_ROOT, 'node_modules', name), path.join(modules, name));
    for (const group of ['libs', 'services'])
      for (const name of readdirSync(path.join(REPOSITORY_ROOT, group))) {
        this.#copy(path.join(group, name));
        symlinkSync(path.join('../..', group, name), path.join(modules, '@cabstand', name));
      }
  }

  #copy(from: string): void {
    const source = path.join(REPOSITORY_ROOT, from);
    const target = path.join(this.folder, from);
    const sources = path.join(source, 'src');
    cpSync(source, target, { recursive: true, filter: (file) => file !== sources });
    const about = JSON.parse(readFileSync(path.join(source, 'package.json'), 'utf8')) as object;
    writeFileSync(
      path.join(target, 'package.json'),
      JSON.stringify({ ...about, version: this.version }),
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
