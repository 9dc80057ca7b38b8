import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { CabstandError } from '@cabstand/core';
import { WatchedFile, isLoopbackHost, serverTls } from '@cabstand/auth';
import type { TlsFiles, WatchOptions } from '@cabstand/auth';
import type { TlsConfig } from '@cabstand/auth-admin';
import { splitAddress } from '@cabstand/rpc';
import type { Logger } from './log';

/** The `admin` section. */
export interface AdminConfig {
  readonly listen: string;
  readonly token_file?: string | undefined;
  readonly open: boolean;
  readonly tls?: boolean | undefined;
}

/** How the admin server is reached, and by whom. */
export interface AdminAccess {
  /** Absent: plain HTTP. */
  readonly tls?: TlsFiles;
  /** Absent: whoever reaches the port may read everything. */
  readonly token?: AdminToken;
}

/**
 * Deny by default, as `checkBind`: off loopback there has to be a token, or the word that none is wanted.
 * Throws CONFIG_INVALID that says what to do, and INVALID_ARGUMENT for files that cannot be used.
 */
export function adminAccess(
  { listen, token_file: file, open, tls }: AdminConfig,
  tlsConfig: TlsConfig | undefined,
  logger: Pick<Logger, 'warn'>,
): AdminAccess {
  const local = isLoopbackHost(splitAddress(listen).host);
  if (!local && file === undefined && !open)
    throw new CabstandError(
      'CONFIG_INVALID',
      `admin.listen is ${listen}, which other machines can reach, but nothing says who may read it. Set ` +
        'admin.token_file to a file with a secret that Prometheus sends as bearer token, listen on ' +
        '127.0.0.1, or, on a network where everybody may read metrics, set admin.open to true',
      { metadata: { field: 'admin.listen', value: listen } },
    );
  if (tls === true && tlsConfig === undefined)
    throw new CabstandError(
      'CONFIG_INVALID',
      'admin.tls is true, but there is no certificate: set tls.cert and tls.key',
      { metadata: { field: 'admin.tls' } },
    );
  const warn = (message: string): void => logger.warn(message);
  if (!local && file === undefined)
    logger.warn({ listen }, 'admin.open: anybody who reaches this address may read metrics');
  const secure = tls ?? (!local && tlsConfig !== undefined);
  if (!local && !secure && file !== undefined)
    logger.warn({ listen }, 'admin.token_file without TLS: who sees the traffic can use the token');
  return {
    // What is wrong with the certificate the gRPC server, which has the same, has warned of.
    ...(secure && tlsConfig !== undefined ? { tls: serverTls(tlsConfig) } : {}),
    ...(file === undefined
      ? {}
      : { token: new AdminToken(file, { onProblem: (error) => warn(error.message) }) }),
  };
}

/** Whoever guesses has to try 2^95 of them where they are random letters and digits. */
const SHORTEST = 16;
const LARGEST_FILE = 4096;

/** A bearer token (RFC 6750) in a file, read again when the file changes. */
class AdminToken {
  readonly #digest: WatchedFile<Buffer>;

  /** Throws INVALID_ARGUMENT for a file that cannot be used; never with what is in it. */
  constructor(path: string, options: WatchOptions = {}) {
    this.#digest = new WatchedFile(path, readDigest, options);
  }

  /** Whether the value of an Authorization header brings the token. */
  admits(authorization: string | undefined): boolean {
    const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) return false;
    // Digests are of one length, and say nothing about how much of a wrong token was right.
    const digest = digestOf(given);
    return (
      timingSafeEqual(digest, this.#digest.current) || timingSafeEqual(digest, this.#digest.newest)
    );
  }
}

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest();

function readDigest(path: string): Buffer {
  const unusable = (why: string): CabstandError =>
    new CabstandError('INVALID_ARGUMENT', `admin.token_file: ${path}: ${why}`, {
      metadata: { field: 'admin.token_file', file: path },
    });
  let token: string;
  try {
    if (statSync(path).size > LARGEST_FILE) throw unusable(`larger than ${LARGEST_FILE} bytes`);
    token = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (CabstandError.is(error)) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw unusable(code === 'ENOENT' ? 'there is no such file' : (code ?? 'cannot be read'));
  }
  if (!/^[!-~]+$/.test(token) || token.length < SHORTEST)
    throw unusable(`expected a token of at least ${SHORTEST} visible ASCII characters, no spaces`);
  return digestOf(token);
}
