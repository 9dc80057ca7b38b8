// Prints what runs in production as a CycloneDX list (JSON). `npm sbom --omit dev` would leave out what
// development uses as well, such as zod: so the list of everything is made, and what is for development
// only is taken out of it.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { productionPackages } from './production.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { status, stdout } = spawnSync(
  'npm',
  ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'],
  { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] },
);
if (status !== 0) process.exit(1);

const list = JSON.parse(stdout);
const idOf = ({ name, version }) => `${name}@${version}`;
const wanted = new Set(
  productionPackages(root).map(({ name, entry }) => idOf({ name, version: entry.version })),
);
list.components = list.components.filter((component) => wanted.has(idOf(component)));
const kept = new Set(list.components.map((component) => component['bom-ref']));
kept.add(list.metadata.component['bom-ref']);
list.dependencies = list.dependencies
  .filter(({ ref }) => kept.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((on) => kept.has(on)) }));
// npm takes the name of the folder.
list.metadata.component.name = 'cabstand';

const listed = new Set(list.components.map(idOf));
const missing = [...wanted].filter((id) => !listed.has(id));
if (missing.length > 0) {
  console.error(`not in the list that npm made: ${missing.join(', ')}`);
  process.exit(1);
}
console.log(JSON.stringify(list, null, 2));
