// What the client brings along where it is all that somebody installs.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** All of the project that a client needs; keys are made, and configurations read, elsewhere. */
const NEEDED = ['auth', 'client', 'core', 'rpc', 'tensor'];
const NOT_NEEDED = ['zod', 'selfsigned'];

const LOADS = `
for (const entry of ['@cabstand/client', '@cabstand/client/protocol']) require(entry);
require('@cabstand/client').connect({ routers: '127.0.0.1:1' }).close().then(() => console.log('loaded'));
`;

/**
 * Installs the client's pack into an empty project; gives what is wrong.
 *
 * @param folder is made
 * @param packs of all packages: those that it depends on are taken from there, not from a registry
 * @param run runs a command in a folder and gives what it printed
 */
export function clientAlone(folder, packs, run) {
  mkdirSync(folder);
  const files = Object.fromEntries(packs.map(({ name, file }) => [name, `file:${file}`]));
  const { '@cabstand/client': client, ...overrides } = files;
  const dependencies = { '@cabstand/client': client };
  writeFileSync(
    path.join(folder, 'package.json'),
    JSON.stringify({ name: 'alone', private: true, dependencies, overrides }, null, 2),
  );
  writeFileSync(path.join(folder, 'load.cjs'), LOADS);
  run(folder, 'npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund');
  const modules = path.join(folder, 'node_modules');
  const own = readdirSync(path.join(modules, '@cabstand')).sort();
  if (own.join() !== NEEDED.join()) return `of this project it brings ${own.join(', ')}`;
  const all = readdirSync(modules);
  const extra = NOT_NEEDED.filter((name) => all.includes(name));
  if (extra.length > 0) return `it brings ${extra.join(', ')}`;
  const said = run(folder, 'node', 'load.cjs').trim();
  return said === 'loaded' ? undefined : `it printed ${said}`;
}
