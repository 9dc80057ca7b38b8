import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { readKeySet, readPrivateKey } from '@cabstand/auth';
import { fail, messageOf, ok } from './finding';
import type { Finding } from './finding';
import type { ServiceSettings } from './settings';
import { day, ending } from './thresholds';

/** The key and the certificate that a service is configured with: not those of a folder, which may be newer. */
export function checkService(
  { service, file, settings }: ServiceSettings,
  nowMs = Date.now(),
): Finding[] {
  const name = `config ${file}`;
  const problems = [
    ...attempt(name, () => ownKey(name, settings.auth, nowMs)),
    ...attempt(name, () =>
      ownCertificate(name, settings.tls?.cert, settings.advertise ?? settings.listen, nowMs),
    ),
  ];
  return problems.length > 0 ? problems : [ok(name, `a ${service} can be started with it`)];
}

function attempt(name: string, look: () => (Finding | undefined)[]): Finding[] {
  try {
    return look().filter((finding) => finding !== undefined);
  } catch (error) {
    return [fail(name, messageOf(error), 'The user who runs the service must be able to read it.')];
  }
}

function ownKey(
  name: string,
  { keys, key }: ServiceSettings['settings']['auth'],
  nowMs: number,
): (Finding | undefined)[] {
  if (key === undefined || keys === undefined) return [];
  const { id, principal } = readPrivateKey(key);
  const entry = readKeySet(keys).find(id);
  const newer = `Copy the newest key of ${principal} to ${key} and start the service again; or: cabstand keys rotate ${principal}`;
  return entry === undefined
    ? [fail(name, `${keys} does not have the key ${id} of ${key}`, newer)]
    : [ending(name, `the key in ${key}`, entry.notAfterMs, nowMs, newer)];
}

function ownCertificate(
  name: string,
  cert: string | undefined,
  address: string,
  nowMs: number,
): (Finding | undefined)[] {
  if (cert === undefined) return [];
  if (!existsSync(cert))
    return [fail(name, `there is no ${cert}`, 'cabstand keys export NAME puts it together.')];
  const certificate = new X509Certificate(readFileSync(cert));
  const host = address.slice(0, address.lastIndexOf(':')).replaceAll(/[[\]]/g, '');
  const fits =
    isUnspecified(host) ||
    (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
  return [
    fits
      ? undefined
      : fail(
          name,
          `${cert} is for ${certificate.subjectAltName ?? 'no name'}, not for ${host}, at which the service is called`,
          `cabstand keys cert NAME --host ${host}, and copy both files here.`,
        ),
    ending(
      name,
      `${cert} (made ${day(Date.parse(certificate.validFrom))})`,
      Date.parse(certificate.validTo),
      nowMs,
      'cabstand keys cert NAME, and copy both files here: they are read without a restart.',
    ),
  ];
}

/** Listened on everywhere: nobody calls it by this. */
const isUnspecified = (host: string): boolean => host === '0.0.0.0' || host === '::';
