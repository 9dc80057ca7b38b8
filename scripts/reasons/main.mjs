// Makes what is kept in the repository from proto/cabstand/v1/reasons.yaml: the tables of docs/protocol.md,
// and those of the packages in clients/. With --check it writes nothing and fails where one is not fresh.
// The table of @cabstand/core is made with every build, by scripts/generate.mjs.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { readReasons, root } from './read.mjs';
import { go, markdown, python } from './targets.mjs';

const check = process.argv.includes('--check');
const table = readReasons();

const PAGE = 'docs/protocol.md';
const page = path.join(root, PAGE);
let text = readFileSync(page, 'utf8');
for (const [name, rows] of Object.entries(markdown(table))) {
  const [before, rest] = split(text, new RegExp(`<!-- ${name}:[^>]*-->\n`));
  const [, after] = split(rest, new RegExp(`<!-- /${name} -->`), true);
  text = `${before}\n${rows}\n${after}`;
}
const files = new Map([
  [PAGE, await format(text, { ...(await resolveConfig(page)), filepath: page })],
  ['clients/python/src/cabstand/_reasons.py', python(table)],
  ['clients/go/reasons_gen.go', go(table)],
]);

for (const [name, wanted] of files) {
  const file = path.join(root, name);
  const found = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  if (found === wanted) continue;
  console.log(
    `${name} ${check ? 'is not what the table of reasons makes: node scripts/reasons/main.mjs' : 'written'}`,
  );
  if (check) process.exitCode = 1;
  else {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, wanted);
  }
}

/** What is before the end of a mark, and after it; `whole`: before the mark, and from it on. */
function split(all, mark, whole = false) {
  const found = mark.exec(all);
  if (found === null) throw new Error(`${PAGE}: there is no ${mark.source}`);
  const end = found.index + found[0].length;
  return whole
    ? [all.slice(0, found.index), all.slice(found.index)]
    : [all.slice(0, end), all.slice(end)];
}
