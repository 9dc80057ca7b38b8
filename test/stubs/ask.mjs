// Runs the programs that run.sh has built, beside the subnet that SUBNET tells of. Each prints what the model
// answers.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

const { router, token } = JSON.parse(process.env.SUBNET);
const [folder] = process.argv.slice(2);
const java = path.join(folder, 'java/target');
const programs = [
  ['go', path.join(folder, 'go/stubs'), []],
  ...(existsSync(java)
    ? [
        [
          'java',
          'java',
          ['-cp', [`${java}/stubs-1.jar`, `${java}/dependency/*`].join(':'), 'Stubs'],
        ],
      ]
    : []),
];

const ANSWER = 'T OW1 K AH0 N AY2 Z ER0';
const counts = { passed: 0, failed: 0 };
for (const [name, program, args] of programs) {
  const { status, stdout, stderr, error } = spawnSync(program, [...args, router, token], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  const ok = status === 0 && stdout.trim() === ANSWER;
  counts[ok ? 'passed' : 'failed'] += 1;
  console.log(`${ok ? 'ok' : 'FAILED'}  ${name}: ${stdout?.trim() || stderr || error?.message}`);
  if (!ok && stdout) console.log(stderr);
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;
