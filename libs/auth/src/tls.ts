import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { resolve } from 'node:path';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import { CabstandError, invalid, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { TlsConfig, TlsConfigInput } from './config';
import { readText } from './key-files';
import { TlsServerCredentials } from './tls-server';

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

/**
 * Credentials for a gRPC server; without `config` it speaks plain text. Throws INVALID_ARGUMENT that
 * names the file and what is wrong with it.
 */
export function serverCredentials(
  config: TlsConfig | undefined,
  options: TlsOptions = {},
): ServerCredentials {
  if (config === undefined) return ServerCredentials.createInsecure();
  const { ca, pair } = readTls(config, options);
  if (pair === undefined)
    throw invalid('INVALID_ARGUMENT', 'tls.cert', config.cert, 'the path of a certificate');
  if (config.require_client_cert && ca === undefined)
    throw invalid(
      'INVALID_ARGUMENT',
      'tls.ca',
      config.ca,
      'a path: clients must show certificates',
    );
  return new TlsServerCredentials({
    ca,
    pair,
    requireClientCert: config.require_client_cert,
    minVersion: config.min_version,
  });
}

/**
 * Credentials for a gRPC channel; without `config` it speaks plain text, without `ca` the authorities that
 * Node knows are trusted. Throws as above.
 */
export function channelCredentials(
  config: TlsConfigInput | undefined,
  options: TlsOptions = {},
): ChannelCredentials {
  if (config === undefined) return ChannelCredentials.createInsecure();
  const { ca, pair } = readTls(config, options);
  return ChannelCredentials.createSsl(ca ?? null, pair?.key ?? null, pair?.cert ?? null);
}

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
  return {
    ca: config.ca === undefined ? undefined : readCertificate('ca', at(config.ca), options).pem,
    pair:
      config.cert === undefined || config.key === undefined
        ? undefined
        : readPair(at(config.cert), at(config.key), options),
  };
}

function readPair(
  certPath: string,
  keyPath: string,
  options: TlsOptions,
): { cert: Buffer; key: Buffer } {
  const { pem, first } = readCertificate('own', certPath, options);
  const keyText = readText(keyPath);
  let key: KeyObject;
  try {
    key = createPrivateKey(keyText);
  } catch {
    throw unusable(keyPath, 'not a private key in PEM without a passphrase');
  }
  if (!first.checkPrivateKey(key))
    throw unusable(keyPath, `does not belong to the certificate in ${certPath}`);
  return { cert: pem, key: Buffer.from(keyText) };
}

function readCertificate(
  use: CertificateInUse['use'],
  path: string,
  options: TlsOptions,
): { pem: Buffer; first: X509Certificate } {
  const pem = Buffer.from(readText(path));
  let first: X509Certificate;
  try {
    first = new X509Certificate(pem);
  } catch {
    throw unusable(path, 'not a certificate in PEM');
  }
  const nowMs = (options.clock ?? systemClock).now();
  const endsMs = Date.parse(first.validTo);
  options.onCertificate?.({ use, notAfterMs: endsMs });
  const warn = options.onWarning ?? (() => undefined);
  if (nowMs > endsMs) warn(`${path}: the certificate expired at ${first.validTo}`);
  else if (nowMs > endsMs - WARN_BEFORE_MS)
    warn(`${path}: the certificate expires ${first.validTo}`);
  else if (nowMs < Date.parse(first.validFrom))
    warn(`${path}: the certificate is not valid before ${first.validFrom}`);
  return { pem, first };
}

function unusable(path: string, why: string): CabstandError {
  return new CabstandError('INVALID_ARGUMENT', `${path}: ${why}`, { metadata: { file: path } });
}
