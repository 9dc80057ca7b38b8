import { isIP } from 'node:net';
import { checkServerIdentity, connect } from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import { readFileSync } from 'node:fs';
import type { TlsConfigInput } from '@cabstand/auth';
import { messageOf, fail, ok } from './finding';
import type { Finding } from './finding';
import { day, ending } from './thresholds';

/** What a server shows to whoever connects to it. */
export interface Shown {
  readonly certificate: PeerCertificate;
  /** What Node says of it, as a code such as SELF_SIGNED_CERT_IN_CHAIN; undefined where it is trusted. */
  readonly distrust: string | undefined;
}

/** Told by a certificate's dates and names as well, and in better words. */
const ELSEWHERE = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

/** Looks at the certificate that is shown at each of these addresses, whether or not it is to be trusted. */
export async function checkCertificates(
  addresses: readonly string[],
  tls: TlsConfigInput,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly nowMs?: number },
): Promise<Finding[]> {
  const { nowMs = Date.now() } = options;
  const found = await Promise.all(
    [...new Set(addresses)].map(async (address) => {
      try {
        return judge(address, await shownBy(address, tls, options), nowMs);
      } catch (error) {
        options.signal.throwIfAborted();
        return [
          fail(
            `certificate ${address}`,
            `none was shown: ${messageOf(error)}`,
            'Start the server, and give it `tls`; or leave out --tls where the subnet has no TLS.',
          ),
        ];
      }
    }),
  );
  return found.flat();
}

/** All that is wrong with a certificate for whoever calls this address; that it is well, where nothing is. */
export function judge(address: string, { certificate, distrust }: Shown, nowMs: number): Finding[] {
  const name = `certificate ${address}`;
  const host = hostOf(address);
  const names = namesIn(certificate);
  const findings: (Finding | undefined)[] = [];
  if (checkServerIdentity(host, certificate) !== undefined)
    findings.push(
      fail(
        name,
        `is for ${names.join(', ') || 'no name'}, not for ${host}`,
        `Call the server by a name that is in it, or put this one in: cabstand keys cert NAME --host ${host}`,
      ),
    );
  if (distrust !== undefined && !ELSEWHERE.has(distrust))
    findings.push(
      fail(
        name,
        `no authority that is trusted here signed it (${distrust})`,
        'Copy tls/ca.crt of the server’s subnet into the folder of --credentials.',
      ),
    );
  const [fromMs, endMs] = [Date.parse(certificate.valid_from), Date.parse(certificate.valid_to)];
  if (nowMs < fromMs)
    findings.push(
      fail(
        name,
        `is not valid before ${new Date(fromMs).toISOString()}`,
        'Set the clock of this machine, and of the one where it was made.',
      ),
    );
  findings.push(
    ending(
      name,
      'it',
      endMs,
      nowMs,
      'cabstand keys cert NAME, and copy both files to the server, which reads them without a restart.',
    ),
  );
  const told = findings.filter((finding) => finding !== undefined);
  return told.length > 0 ? told : [ok(name, `good until ${day(endMs)}, for ${names.join(', ')}`)];
}

function namesIn({ subjectaltname = '' }: PeerCertificate): string[] {
  return subjectaltname
    .split(', ')
    .filter((text) => text !== '')
    .map((text) => text.replace(/^(DNS|IP Address):/, ''));
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replaceAll(/[[\]]/g, '');
}

function shownBy(
  address: string,
  { ca, cert, key }: TlsConfigInput,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Shown> {
  const file = (path: string | undefined): Buffer | undefined =>
    path === undefined ? undefined : readFileSync(path);
  const host = hostOf(address);
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host, port: Number(address.slice(address.lastIndexOf(':') + 1)) },
      ...{ ca: file(ca), cert: file(cert), key: file(key) },
      // Nothing is sent to it: it is only looked at, and told about where it is bad.
      rejectUnauthorized: false,
      servername: isIP(host) === 0 ? host : '',
      ALPNProtocols: ['h2'],
    });
    const stop = (): void => void socket.destroy(new Error('it was stopped'));
    signal.addEventListener('abort', stop, { once: true });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    socket.once('secureConnect', () => {
      const { authorizationError: why } = socket;
      resolve({
        certificate: socket.getPeerCertificate(),
        distrust: socket.authorized ? undefined : codeOf(why),
      });
      socket.destroy();
    });
    socket.once('error', reject);
    socket.once('close', () => {
      signal.removeEventListener('abort', stop);
      reject(new Error('the connection was closed'));
    });
  });
}

/** Node has the code itself there, whatever its types say. */
function codeOf(why: unknown): string {
  return why instanceof Error ? ((why as NodeJS.ErrnoException).code ?? why.message) : String(why);
}
