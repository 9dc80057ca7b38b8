// Lists the licences of everything that runs in production, and fails where one is not allowed:
// `node scripts/licences.mjs [FOLDER]`. What package-lock.json marks as for development only is left out.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { productionPackages } from './production.mjs';

const root = process.argv[2] ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** SPDX names of licences that ask for no more than to be named. */
const ALLOWED = new Set([
  ...['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause'],
  ...['CC0-1.0', 'ISC', 'MIT', 'Python-2.0', 'Unlicense', 'Zlib'],
]);
/** libvips, linked dynamically by sharp, which the command line alone uses: it can be exchanged. */
const LGPL = { licence: 'LGPL-3.0-or-later', package: /^@img\/sharp-/ };

function isAllowed(name, licence) {
  const words = licence.replaceAll(/[()]/g, '').split(/ (AND|OR) /);
  const [operator, second] = [words[1], words.find((word, i) => i % 2 === 1 && word !== words[1])];
  // Both in one expression: somebody has to read that.
  if (second !== undefined) return false;
  const allowed = (one) => ALLOWED.has(one) || (one === LGPL.licence && LGPL.package.test(name));
  const each = words.filter((_, i) => i % 2 === 0);
  return operator === 'OR' ? each.some(allowed) : each.every(allowed);
}

/** What the package itself says; packages of other platforms are not here, the lock file speaks for them. */
function licenceOf(where, entry) {
  const file = path.join(root, where, 'package.json');
  const own = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const found = own.license ?? own.licenses ?? entry.license;
  return typeof found === 'string' ? found : 'none that is an SPDX name';
}

const packages = productionPackages(root).map(({ where, name, entry }) => ({
  name,
  version: entry.version,
  licence: licenceOf(where, entry),
}));

for (const { name, version, licence } of packages) console.log(`${licence}\t${name}@${version}`);
const refused = packages.filter(({ name, licence }) => !isAllowed(name, licence));
for (const { name, version, licence } of refused)
  console.error(`${name}@${version}: ${licence} is not allowed (scripts/licences.mjs)`);
console.log(`${packages.length} packages, ${refused.length} with a licence that is not allowed`);
process.exit(refused.length === 0 && packages.length > 0 ? 0 : 1);
