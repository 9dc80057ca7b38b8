import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { isLoopbackPeer } from '@cabstand/auth';
import { CabstandError } from '@cabstand/core';

/**
 * Whether a request came in a way by which tokens may come, from this page and no other. Throws
 * PERMISSION_DENIED, saying what to do.
 *
 * @param open whoever is on this machine is let in without a token
 */
export function checkWay(request: IncomingMessage, open: boolean): void {
  const { headers, socket } = request;
  const local = isLoopbackPeer(`${socket.remoteAddress ?? ''}:0`);
  if (!local && (open || !('encrypted' in socket)))
    throw denied(
      open
        ? 'without authentication (auth.mode: none) the console serves its own machine only'
        : 'the console takes tokens over HTTPS, or on the machine of the router: configure tls for the router, or come through ssh -L',
    );
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw denied('the console answers its own page only');
  // A page elsewhere whose name suddenly means this machine is of the same origin, as far as a browser knows.
  if (open && !isOwnName(headers.host ?? ''))
    throw denied(
      'without authentication (auth.mode: none) open the console by address: 127.0.0.1 or localhost',
    );
}

function isOwnName(host: string): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || isIP(name) !== 0;
}

function denied(message: string): CabstandError {
  return new CabstandError('PERMISSION_DENIED', message);
}
