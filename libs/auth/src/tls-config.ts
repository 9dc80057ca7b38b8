/** The `tls` section of a configuration: docs/configuration.md. Paths of files in PEM. */
export interface TlsConfigInput {
  /** This side's certificate chain. Servers need it. */
  readonly cert?: string | undefined;
  /** Its private key. */
  readonly key?: string | undefined;
  /** Certificates of the authorities that sign peers' certificates. */
  readonly ca?: string | undefined;
  /** Oldest version that is spoken. Default TLSv1.2. */
  readonly min_version?: 'TLSv1.2' | 'TLSv1.3' | undefined;
  /** Servers: callers must show a certificate that `ca` signed. Default false. */
  readonly require_client_cert?: boolean | undefined;
  /** Servers: credentials count only with a certificate of the same principal. Default false. */
  readonly bind_principal?: boolean | undefined;
}
