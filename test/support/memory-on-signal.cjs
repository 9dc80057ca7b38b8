// Preloaded into processes whose memory is measured: SIGUSR2 collects garbage, and writes what is in use then to
// <process id>-<number of the signal>.json beside this file (a copy: engines get no variables of their own).
const { renameSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc');
const base = path.join(__dirname, String(process.pid));
let number = 0;

process.on('SIGUSR2', () => {
  // Buffers whose owners were collected go with the next collection.
  for (let times = 0; times < 3; times += 1) collect();
  writeFileSync(`${base}.part`, JSON.stringify(process.memoryUsage()));
  renameSync(`${base}.part`, `${base}-${number}.json`);
  number += 1;
});
