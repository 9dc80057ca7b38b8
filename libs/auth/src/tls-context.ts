import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import type { Timer } from '@cabstand/core';
import type { TlsConfigInput } from './tls-config';
import { readTls } from './tls-material';
import type { TlsOptions } from './tls-material';
import { WatchedFile } from './watched-file';

/** What connections are made with: the files of a `tls` section as they are now. */
export interface TlsContext {
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
}

/** How often at most the files are looked at, milliseconds. */
const LOOK_EVERY_MS = 2000;

/**
 * With TLS 1.2 only suites of ephemeral keys (forward secrecy) and authenticated encryption, as RFC 9325,
 * section 4.2, recommends: no CBC, no truncated tags (CCM8). TLS 1.3 has no others than these and CCM.
 */
const SUITES = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/**
 * The files of a `tls` section, read again when they change. A change that cannot be used is warned about,
 * and what was read before stays in use. Throws INVALID_ARGUMENT that names the file and what is wrong.
 */
export class TlsFiles {
  /** Without files there is nothing that changes. */
  readonly #files: WatchedFile<TlsContext> | TlsContext;

  constructor(config: TlsConfigInput, options: TlsOptions = {}) {
    const read = (): TlsContext => readContext(config, options);
    const [first, ...also] = [config.cert, config.key, config.ca]
      .filter((path) => path !== undefined)
      .map((path) => resolve(options.baseDir ?? '.', path));
    this.#files =
      first === undefined
        ? read()
        : new WatchedFile(first, read, {
            also,
            checkEveryMs: LOOK_EVERY_MS,
            onProblem: ({ message }) =>
              options.onWarning?.(`${message}; what it held before stays in use`),
            ...(options.clock === undefined ? {} : { clock: options.clock }),
          });
  }

  /** The same object as before as long as the files are the same. */
  get current(): TlsContext {
    return this.#files instanceof WatchedFile ? this.#files.current : this.#files;
  }

  /** Tells of each change, until it is cancelled. Does not keep the process alive. */
  watch(onChange: (changed: TlsContext) => void): Timer {
    return this.#files instanceof WatchedFile
      ? this.#files.watch(onChange)
      : { cancel: () => undefined };
  }
}

function readContext(config: TlsConfigInput, tlsOptions: TlsOptions): TlsContext {
  const { ca, pair } = readTls(config, tlsOptions);
  const options: SecureContextOptions = {
    ...(ca === undefined ? {} : { ca }),
    ...pair,
    ciphers: SUITES,
    minVersion: config.min_version ?? 'TLSv1.2',
  };
  return { options, context: createSecureContext(options) };
}
