import type { SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';

/** ECDHE with AEAD only: of TLS 1.2 nothing else is taken. TLS 1.3 has no others. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
].join(':');

export interface TlsServerOptions {
  readonly ca: Buffer | undefined;
  readonly pair: { readonly cert: Buffer; readonly key: Buffer };
  readonly requireClientCert: boolean;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** What `ServerCredentials.createSsl` makes, with a choice of versions and suites. */
export class TlsServerCredentials extends ServerCredentials {
  constructor({ ca, pair, requireClientCert, minVersion }: TlsServerOptions) {
    const suites = { minVersion, ciphers: CIPHERS };
    const context: SecureContextOptions = {
      ...suites,
      ...(ca === undefined ? {} : { ca }),
      cert: pair.cert,
      key: pair.key,
    };
    super(
      { ...suites, requestCert: requireClientCert, rejectUnauthorized: requireClientCert },
      context,
    );
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
