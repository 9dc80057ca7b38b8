/**
 * Why no connection came up, `connection` in the error's metadata:
 * - `certificate_wanted`: the server takes callers with a certificate only.
 * - `certificate_refused`: the server does not take this side's certificate.
 * - `no_tls_there`: TLS was spoken to a port that speaks none.
 * - `tls_there`: the server ended a connection without TLS at once.
 * - `closed_at_once`: the server ended a connection with TLS at once.
 * - `server_expired`, `server_early`: the server's certificate is not good any more, or not yet.
 * - `server_name`: the server's certificate is for other names.
 * - `server_unknown`: no authority that is trusted here signed the server's certificate.
 * - `no_grpc_there`: something else listens there.
 * - `no_address`: the name has no address.
 */
export type ConnectProblem =
  | 'certificate_wanted'
  | 'certificate_refused'
  | 'no_tls_there'
  | 'tls_there'
  | 'closed_at_once'
  | 'server_expired'
  | 'server_early'
  | 'server_name'
  | 'server_unknown'
  | 'no_grpc_there'
  | 'no_address';

export interface Explained {
  readonly message: string;
  /** Undefined where there is nothing to add to what the system says. */
  readonly problem: ConnectProblem | undefined;
}

interface Row {
  readonly pattern: RegExp;
  readonly problem: ConnectProblem;
  /** What is wrong, and what to do. `found` are the groups of the pattern. */
  readonly text: (...found: string[]) => string;
}

const ENDED_AT_ONCE =
  /^Failed to connect|ECONNRESET|EPIPE|socket hang up|socket disconnected before secure TLS/;

/**
 * Texts of Node, of OpenSSL (whose alerts are named in RFC 8446, 6) and of grpc-js. The order counts:
 * an alert is more exact than the end of the connection that follows it.
 */
const ROWS: readonly Row[] = [
  {
    pattern: /alert certificate required/,
    problem: 'certificate_wanted',
    text: () =>
      'the server takes callers with a certificate only, and this side showed none: give it its own (tls.cert and tls.key)',
  },
  {
    pattern:
      /alert (?:unknown ca|certificate (?:expired|unknown|revoked)|bad certificate|unsupported certificate|handshake failure)/,
    problem: 'certificate_refused',
    text: () =>
      "the server does not take this side's certificate: it must be signed by an authority in the server's tls.ca, and be valid now",
  },
  {
    pattern: /wrong version number|packet length too long|http request/,
    problem: 'no_tls_there',
    text: () => 'the port does not speak TLS: connect without TLS, or to the port that speaks it',
  },
  {
    pattern: /certificate has expired|CERT_HAS_EXPIRED/,
    problem: 'server_expired',
    text: () =>
      "the server's certificate has expired: renew it (`cabstand keys cert NAME`) and copy it to the server",
  },
  {
    pattern: /certificate is not yet valid|CERT_NOT_YET_VALID/,
    problem: 'server_early',
    text: () =>
      "the server's certificate is not valid yet: the clock of this machine is behind, or that of the one where it was made was ahead",
  },
  {
    pattern: /altnames: (?:Host|IP): (\S+?)\.? is not (?:in|cert's)[^:]*: ?([^]*)/,
    problem: 'server_name',
    text: (host = '', names = '') =>
      `the server's certificate is not for ${host}${names.trim() === '' ? '' : `, but for ${listed(names)}`}: ` +
      `connect by a name that is in it, or put this one in (\`cabstand keys cert NAME --host ${host}\`)`,
  },
  {
    pattern:
      /unable to verify the first certificate|self[- ]signed certificate|unable to get (?:local )?issuer certificate|certificate signature failure|UNABLE_TO_/,
    problem: 'server_unknown',
    text: () =>
      "no authority that is trusted here signed the server's certificate: trust the one of its subnet (tls.ca: the ca.crt made together with it)",
  },
  {
    pattern: /Protocol error|Parse Error|Session closed with error code/,
    problem: 'no_grpc_there',
    text: () => 'what listens there does not speak gRPC: is the port right?',
  },
  {
    pattern: /Name resolution failed for target (?:dns:)?(\S+?)(?::\d+)?$/,
    problem: 'no_address',
    text: (name = '') =>
      `${name} has no address: is the name right, and does this machine know it?`,
  },
];

/**
 * What grpc-js says about a connection that does not come up, in plain words; undefined if it speaks of
 * something else. `secure`: TLS was tried.
 */
export function explainConnecting(details: string, secure: boolean): Explained | undefined {
  const found =
    /^No connection established\. Last error: (?:Error: )?([^]*?)\s*(?:\. Resolution note:|$)/.exec(
      details,
    )?.[1];
  const cause =
    found ?? (/SSL routines|^Name resolution failed/.test(details) ? details : undefined);
  if (cause === undefined) return undefined;
  for (const { pattern, problem, text } of ROWS) {
    const match = pattern.exec(cause);
    if (match !== null) return { message: said(text(...match.slice(1))), problem };
  }
  if (ENDED_AT_ONCE.test(cause))
    return secure
      ? {
          message: said(
            'the server ended it at once: it wants a certificate of this side (tls.cert) that an authority in its own tls.ca signed and that is valid now, or it is about to stop',
          ),
          problem: 'closed_at_once',
        }
      : {
          message: said(
            'the server ended it at once: if it speaks TLS, connect with TLS (tls.ca: the ca.crt of its subnet)',
          ),
          problem: 'tls_there',
        };
  return { message: said(withoutOpenSsl(cause)), problem: undefined };
}

const said = (what: string): string => `no connection: ${what}`;

/** `DNS:localhost, IP Address:127.0.0.1` as people write it. */
function listed(names: string): string {
  return names.replaceAll(/(?:DNS|IP Address):/g, '').trim();
}

/** `80AC…:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/openssl/…:350:` */
function withoutOpenSsl(text: string): string {
  return text
    .replaceAll(
      /[0-9A-F]*:?error:[0-9A-F]+:SSL routines:[^:]*:([^:]+):\S*(?:SSL alert number \d+)?/g,
      'TLS: $1',
    )
    .trim();
}
