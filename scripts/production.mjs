// What runs in production, as package-lock.json has it: all that it does not mark as for development only.
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Packages of the lock file in this folder: `where` they are installed, name, and their entry. */
export function productionPackages(root) {
  const { packages } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([where, entry]) => where.includes('node_modules/') && !entry.link && !entry.dev)
    .map(([where, entry]) => ({
      where,
      name: where.slice(where.lastIndexOf('node_modules/') + 'node_modules/'.length),
      entry,
    }))
    .sort((a, b) => a.name.localeCompare(b.name));
}
