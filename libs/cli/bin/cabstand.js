#!/usr/bin/env node
// There before the first build, so that npm finds it in a fresh clone, and links it when it installs.
const { existsSync } = require('node:fs');
const path = require('node:path');

const main = path.join(__dirname, '..', 'dist', 'main.js');
if (existsSync(main)) require(main);
else {
  console.error(
    'cabstand: it is not built yet\n  Run `npm run build` in its folder: that installs what it needs and builds (about a minute and a half).',
  );
  process.exitCode = 2;
}
