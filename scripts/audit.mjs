// Asks the registry about the packages of the lock file: whether their signatures are right, and whether
// something is known against those that run. Ends with 0 (both well), 1 (something is wrong), or 3 (nothing
// is wrong as far as it could be asked: an endpoint is not reachable, as behind a mirror).
import { spawnSync } from 'node:child_process';

const QUICK = ['--fetch-retries', '0', '--fetch-timeout', '30000'];
const CHECKS = [
  ['signatures of packages', ['audit', 'signatures', ...QUICK]],
  ['known vulnerabilities', ['audit', '--omit=dev', '--audit-level=high', ...QUICK]],
];

/** How npm says that it got no answer, or none of this kind. */
const NO_ANSWER =
  /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b|audit endpoint returned an error|no dependencies to audit that were installed from a supported registry/;

const codes = CHECKS.map(([what, args]) => {
  const { status, stdout, stderr, error } = spawnSync('npm', args, { encoding: 'utf8' });
  const said = `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`;
  if (status === 0) {
    console.log(`${what}: ok\n${said.trim()}`);
    return 0;
  }
  const reason = /\binvalid\b|\btampered\b/.test(said) ? undefined : NO_ANSWER.exec(said)?.[0];
  if (reason !== undefined) {
    console.log(`${what}: NOT REACHABLE, so nothing is known (${reason})`);
    return 3;
  }
  console.log(`${what}: FAILED\n${said.trim()}`);
  return 1;
});
process.exit(codes.find((code) => code === 1) ?? codes.find((code) => code === 3) ?? 0);
