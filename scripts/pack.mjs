// Packs every package that is published, as npm would publish it: node scripts/pack.mjs FOLDER
// What lies outside a package's own folder comes in beside it: licence, changelog, and for the command line
// the bundled models. Build first.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Files from elsewhere in the repository, by package: `[from, to]`. */
const EXTRA = {
  cabstand: [
    ['models', 'models'],
    ['test/assets', 'assets'],
    ['README.md', 'README.md'],
  ],
  '@cabstand/client': [['docs/client.md', 'README.md']],
  '@cabstand/module': [['docs/modules.md', 'README.md']],
};

const EVERYWHERE = ['LICENSE', 'CHANGELOG.md'].map((file) => [file, file]);

/** For people who install it, not for those who work on it. */
const left = (file) => /\.(test|fixture)\.[cm]?[jt]s$/.test(file) || file.endsWith('.map');

/** The folders of packages that are published. */
export function published() {
  return ['libs', 'services']
    .flatMap((parent) => readdirSync(path.join(root, parent)).map((name) => `${parent}/${name}`))
    .filter((folder) => existsSync(path.join(root, folder, 'package.json')))
    .filter((folder) => read(folder).private !== true);
}

function read(folder) {
  return JSON.parse(readFileSync(path.join(root, folder, 'package.json'), 'utf8'));
}

/** Writes a tarball of each into `out`; gives their names and paths. */
export function packAll(out) {
  mkdirSync(out, { recursive: true });
  const scratch = mkdtempSync(path.join(tmpdir(), 'cabstand-pack-'));
  try {
    const staged = published().map((folder) => stage(folder, scratch));
    const done = spawnSync('npm', ['pack', '--json', '--pack-destination', out, ...staged], {
      cwd: scratch,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
    if (done.status !== 0) throw new Error(`npm pack: ${done.stderr}`);
    return JSON.parse(done.stdout).map(({ name, filename }) => ({
      name,
      file: path.join(out, filename.replace('@', '').replace('/', '-')),
    }));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Copies what a package publishes into a folder of its own. */
function stage(folder, scratch) {
  const manifest = { ...read(folder), devDependencies: undefined };
  const to = path.join(scratch, manifest.name.replace('/', '+'));
  mkdirSync(to);
  // npm brings the licence along by itself, the changelog only where it is named.
  const packed = { ...manifest, files: [...manifest.files, 'CHANGELOG.md'] };
  writeFileSync(path.join(to, 'package.json'), `${JSON.stringify(packed, null, 2)}\n`);
  const extra = EXTRA[manifest.name] ?? [];
  const own = manifest.files
    .filter((file) => !file.startsWith('!') && extra.every(([, name]) => name !== file))
    .map((file) => [path.join(folder, file), file]);
  for (const [from, name] of [...own, ...extra, ...EVERYWHERE])
    cpSync(path.join(root, from), path.join(to, name), {
      recursive: true,
      filter: (file) => !left(file),
    });
  return to;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [out] = process.argv.slice(2);
  if (out === undefined) throw new Error('usage: node scripts/pack.mjs FOLDER');
  for (const { name, file } of packAll(path.resolve(out))) console.log(`${name}  ${file}`);
}
