import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { readPrivateKey } from '@cabstand/auth';
import { readSealKeys } from '@cabstand/auth-admin';
import { hasSubnetKeys, keyFiles, readFolder } from '../subnet/key-folder';
import type { KeyFolder } from '../subnet/key-folder';
import { fail, messageOf, ok, warn } from './finding';
import type { Finding } from './finding';
import { day, ending } from './thresholds';

const OTHERS = 0o077;

/** Whether the keys can be read by this user, and by nobody else, and are still good. */
export function checkKeys(folder: string, named: boolean, nowMs = Date.now()): Finding[] {
  if (!hasSubnetKeys(folder)) {
    const advice = `Make keys with \`cabstand keys init --out ${folder}\`; \`cabstand up\` does it by itself.`;
    return named
      ? [fail('keys', `${folder} holds no keys`, advice)]
      : [ok('keys', `none in ${folder} yet: \`cabstand up\` makes them`)];
  }
  let known: KeyFolder;
  try {
    known = readFolder(folder, nowMs);
  } catch (error) {
    return [
      fail(
        'keys',
        messageOf(error),
        'Restore keys.json, or make new keys with `cabstand keys init --force`.',
      ),
    ];
  }
  const findings: Finding[] = [];
  const files = keyFiles(folder);
  for (const { file, secret } of files) {
    const full = path.join(folder, file);
    if (secret && process.platform !== 'win32' && (statSync(full).mode & OTHERS) !== 0)
      findings.push(fail('keys', `${full} can be read by others`, `chmod 600 ${full}`));
    const problem = checkFile(full, known, nowMs);
    if (problem !== undefined) findings.push(problem);
  }
  findings.push(...endingKeys(folder, known, nowMs));
  if (findings.some(({ status }) => status === 'fail')) return findings;
  const good = known.keys.filter(({ state }) => state === 'good').length;
  return [...findings, ok('keys', `${good} good keys of subnet ${known.subnet} in ${folder}`)];
}

function checkFile(file: string, known: KeyFolder, nowMs: number): Finding | undefined {
  try {
    if (path.basename(file) === 'seal.key.json') {
      checkSealKeys(file);
      return;
    }
    if (file.endsWith('.key.json')) return checkPrivateKey(file, known);
    if (file.endsWith('.token')) return checkToken(file, nowMs);
    if (file.endsWith('.crt')) return checkCertificate(file, nowMs);
    return undefined;
  } catch (error) {
    return fail('keys', messageOf(error), 'Its owner must be the user who runs this.');
  }
}

function checkPrivateKey(file: string, known: KeyFolder): Finding | undefined {
  const { id, principal } = readPrivateKey(file);
  const entry = known.keys.find((key) => key.id === id);
  if (entry === undefined)
    return fail(
      'keys',
      `${file}: keys.json does not have the key ${id}`,
      `cabstand keys rotate ${principal}`,
    );
  if (entry.state !== 'good')
    return fail(
      'keys',
      `${file}: the key ${id} is not good (${entry.until})`,
      `cabstand keys rotate ${principal}`,
    );
  // Whoever uses the file goes on until then, and is shut out after it.
  return entry.notAfterMs === null
    ? undefined
    : warn(
        'keys',
        `${file} is a retired key, good until ${day(entry.notAfterMs)}`,
        `Copy the newest ${path.basename(file)} here, or: cabstand keys rotate ${principal}`,
      );
}

function checkSealKeys(file: string): undefined {
  readSealKeys(file);
}

function checkToken(file: string, nowMs: number): Finding | undefined {
  const [, payload = ''] = readFileSync(file, 'utf8').split('.');
  const { exp, sub } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
    exp?: number;
    sub?: string;
  };
  // Tokens are good for a day as a rule: only their end is worth a word, and nobody is locked out by it.
  const endMs = (exp ?? Infinity) * 1000;
  if (nowMs <= endMs) return undefined;
  return warn(
    'keys',
    `${file} expired on ${day(endMs)}`,
    `Start \`cabstand up\` or \`serve\` anew, which write it, or: cabstand keys token ${sub ?? 'NAME'} --audience HOST:PORT > ${file}`,
  );
}

function checkCertificate(file: string, nowMs: number): Finding | undefined {
  const { validTo } = new X509Certificate(readFileSync(file));
  const name = path.basename(file, '.crt');
  return ending(
    'keys',
    file,
    Date.parse(validTo),
    nowMs,
    name === 'ca'
      ? 'Make keys for the subnet in a new folder with `cabstand keys init`.'
      : `cabstand keys cert ${name} --out ${path.dirname(path.dirname(file))}`,
  );
}

/** Keys that nobody has a successor of: members that are shut out from their end on, and checkpoints. */
function endingKeys(folder: string, { keys, sealKeys }: KeyFolder, nowMs: number): Finding[] {
  const ends = new Map<string, number>();
  for (const { principal, notAfterMs } of keys)
    ends.set(principal, Math.max(notAfterMs ?? Infinity, ends.get(principal) ?? 0));
  const members = [...ends].map(([principal, endMs]) =>
    ending(
      'keys',
      `the last key of ${principal}`,
      endMs,
      nowMs,
      `cabstand keys rotate ${principal} --out ${folder}, or, if ${principal} is to be let in no more: cabstand keys remove ${principal} --out ${folder}`,
    ),
  );
  const seal = ending(
    'keys',
    'the last seal key',
    Math.max(...sealKeys.map(({ notAfterMs }) => notAfterMs ?? Infinity)),
    nowMs,
    `cabstand keys rotate seal --out ${folder}`,
  );
  return [...members, sealKeys.length === 0 ? undefined : seal].filter(
    (finding) => finding !== undefined,
  );
}
