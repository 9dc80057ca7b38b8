import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { resolve } from 'node:path';
import { CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { TlsConfigInput } from './tls-config';
import { readText } from './key-files';

export interface TlsOptions {
  /** Relative paths are relative to this folder. Default: the working directory. */
  readonly baseDir?: string;
  /** Told about certificates that have expired or soon will. */
  readonly onWarning?: (message: string) => void;
  /** Told about each certificate that is taken into use, whenever one is. */
  readonly onCertificate?: (certificate: CertificateInUse) => void;
  readonly clock?: Clock;
}

/** `own`: what this process shows to others. `ca`: what it checks others against. */
export interface CertificateInUse {
  readonly use: 'own' | 'ca';
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number;
}

/** PEM texts, checked: the key belongs to the certificate. */
export interface TlsMaterial {
  readonly ca: Buffer | undefined;
  readonly pair: { readonly cert: Buffer; readonly key: Buffer } | undefined;
}

/** Certificates that expire sooner are warned about. */
const WARN_BEFORE_MS = 14 * 24 * 3600 * 1000;

/** Reads and checks the files of a `tls` section, for servers of other kinds (admin HTTP). */
export function readTls(config: TlsConfigInput, options: TlsOptions = {}): TlsMaterial {
  const at = (path: string): string => resolve(options.baseDir ?? '.', path);
  if ((config.cert === undefined) !== (config.key === undefined))
    throw invalid(
      'INVALID_ARGUMENT',
      config.cert === undefined ? 'tls.cert' : 'tls.key',
      undefined,
      'a path: certificate and key belong together',
    );
  const ca = config.ca === undefined ? undefined : readCertificate('ca', at(config.ca));
  const pair =
    config.cert === undefined || config.key === undefined
      ? undefined
      : readPair(at(config.cert), at(config.key));
  // Only now: none of them comes into use if one cannot be used.
  for (const read of [ca, pair?.cert]) if (read !== undefined) tell(read, options);
  return { ca: ca?.pem, pair: pair && { cert: pair.cert.pem, key: pair.key } };
}

interface ReadCertificate {
  readonly use: CertificateInUse['use'];
  readonly path: string;
  readonly pem: Buffer;
  /** A file may hold a chain. */
  readonly first: X509Certificate;
}

function readPair(certPath: string, keyPath: string): { cert: ReadCertificate; key: Buffer } {
  const cert = readCertificate('own', certPath);
  const keyText = readText(keyPath);
  let key: KeyObject;
  try {
    key = createPrivateKey(keyText);
  } catch {
    throw unusable(keyPath, 'not a private key in PEM without a passphrase');
  }
  if (!cert.first.checkPrivateKey(key))
    throw unusable(keyPath, `does not belong to the certificate in ${certPath}`);
  return { cert, key: Buffer.from(keyText) };
}

function readCertificate(use: CertificateInUse['use'], path: string): ReadCertificate {
  const pem = Buffer.from(readText(path));
  try {
    return { use, path, pem, first: new X509Certificate(pem) };
  } catch {
    throw unusable(path, 'not a certificate in PEM');
  }
}

function tell({ use, path, first }: ReadCertificate, options: TlsOptions): void {
  const nowMs = (options.clock ?? systemClock).now();
  const endsMs = Date.parse(first.validTo);
  options.onCertificate?.({ use, notAfterMs: endsMs });
  const warn = options.onWarning ?? (() => undefined);
  if (nowMs > endsMs) warn(`${path}: the certificate expired at ${first.validTo}`);
  else if (nowMs > endsMs - WARN_BEFORE_MS)
    warn(`${path}: the certificate expires ${first.validTo}`);
  else if (nowMs < Date.parse(first.validFrom))
    warn(`${path}: the certificate is not valid before ${first.validFrom}`);
}

function unusable(path: string, why: string): CabstandError {
  return new CabstandError('INVALID_ARGUMENT', `${path}: ${why}`, { metadata: { file: path } });
}
