/** Preloaded: names that end in `.test` are looked up in the file NAMES_FILE, as in DNS: `name address` a line. */
const { promises } = require('node:dns');
const { readFileSync } = require('node:fs');

const { lookup } = promises;
promises.lookup = async (name, ...rest) => {
  if (!name.endsWith('.test')) return await lookup.call(promises, name, ...rest);
  const lines = readFileSync(process.env.NAMES_FILE, 'utf8').trim().split('\n');
  const found = lines.map((line) => line.split(' ')).find(([known]) => known === name);
  if (found === undefined) throw Object.assign(new Error(`no ${name}`), { code: 'ENOTFOUND' });
  return [{ address: found[1], family: 4 }];
};
