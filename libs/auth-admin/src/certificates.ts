import { isIP } from 'node:net';
import { generate } from 'selfsigned';

/** A certificate and its key, PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  readonly commonName: string;
  /** Host names and IP addresses it is for. */
  readonly hosts: readonly string[];
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Authorities sign certificates a moment before they are used elsewhere, where clocks differ. */
const BACKDATED_MS = 5 * 60 * 1000;

/** A certificate authority of a subnet's own (P-256). */
export async function createAuthority(
  options: Omit<CertificateOptions, 'hosts'>,
): Promise<CertificatePair> {
  const made = await generate(
    [{ name: 'commonName', value: options.commonName }],
    common(options, [
      { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ]),
  );
  return { cert: made.cert, key: made.private };
}

/**
 * A certificate for a server that also calls others, or for a client: both usages are in it, since a
 * hoster is both.
 */
export async function createCertificate(
  authority: CertificatePair,
  options: CertificateOptions,
): Promise<CertificatePair> {
  const altNames = options.hosts.map((host) =>
    isIP(host) === 0 ? { type: 2 as const, value: host } : { type: 7 as const, ip: host },
  );
  const made = await generate([{ name: 'commonName', value: options.commonName }], {
    ...common(options, [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      ...(altNames.length === 0 ? [] : [{ name: 'subjectAltName' as const, altNames }]),
    ]),
    ca: { key: authority.key, cert: authority.cert },
  });
  return { cert: made.cert, key: made.private };
}

type Options = NonNullable<Parameters<typeof generate>[1]>;

function common(
  options: Omit<CertificateOptions, 'hosts'>,
  extensions: NonNullable<Options['extensions']>,
): Options {
  return {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(options.notBeforeMs - BACKDATED_MS),
    notAfterDate: new Date(options.notAfterMs),
    extensions,
  };
}
