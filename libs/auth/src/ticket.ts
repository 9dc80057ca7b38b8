import { CabstandError, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { currentKey, signBytes, verifyBytes } from './keys';
import type { KeySource, PrivateKey, PublicKey } from './keys';

/** What a router reserved. A capacity hint: it never authorizes anything. */
export interface Ticket {
  readonly leaseId: string;
  readonly model: string;
  readonly nodeId: string;
  /** The process of the node it was reserved at. */
  readonly incarnation: string;
  /** For whom. */
  readonly principal: string;
  /** Until when the router holds the slot by its own clock, milliseconds since the epoch. */
  readonly expiresMs: number;
}

/** What a ticket is held against. */
export interface TicketUse {
  readonly model: string;
  readonly nodeId: string;
  readonly incarnation: string;
  readonly principal: string;
}

/** What can be wrong with a ticket; `problem` in the error's metadata. */
export type TicketProblem =
  | 'malformed'
  | 'forged'
  | 'unknown_key'
  | 'other_model'
  | 'other_node'
  | 'other_incarnation'
  | 'other_principal';

/** Signs tickets. */
export interface TicketSigner {
  sign(ticket: Ticket): string;
}

/** Checks tickets. */
export interface TicketVerifier {
  /**
   * Throws TICKET_INVALID whose metadata names the `problem`. Time is not held against a ticket: it is
   * a hint about capacity, and the router's clock may be off. Whoever comes late finds a slot or none.
   */
  verify(ticket: string, use: TicketUse): Ticket;
}

const VERSION = 'v1';
/** Key id of tickets without a signature: services without credentials, on loopback. */
const UNSIGNED = 'local';
const LONGEST = 4096;
const FORM = /^v1~([A-Za-z0-9][A-Za-z0-9._@:-]{0,127})~([A-Za-z0-9_-]+)~([A-Za-z0-9_-]*)$/;

/** What is signed, as JSON. */
interface Payload {
  readonly lease: string;
  readonly model: string;
  readonly node: string;
  readonly incarnation: string;
  readonly principal: string;
  readonly expires: number;
}

const LONGEST_TEXT = 512;

/** Signs tickets with Ed25519, so that hosters need a public key only. */
export function signedTickets(key: PrivateKey): TicketSigner {
  return {
    sign: (ticket) => {
      const payload = encode(ticket);
      return join(key.id, payload, signBytes(signedBytes(key.id, payload), key.key));
    },
  };
}

/** Tickets without a signature, for services without credentials on one machine. */
export function unsignedTickets(): TicketSigner {
  return { sign: (ticket) => join(UNSIGNED, encode(ticket), '') };
}

export interface TicketVerifierOptions {
  /** Keys of the routers; those with the use `ticket` count. Without it only unsigned tickets pass. */
  readonly keys?: KeySource;
  readonly clock?: Clock;
}

export function ticketVerifier(options: TicketVerifierOptions = {}): TicketVerifier {
  const clock = options.clock ?? systemClock;
  return {
    verify(encoded, use) {
      const [keyId, payload, signature] = split(encoded);
      if (options.keys !== undefined)
        checkKey(options.keys, keyId, payload, signature, clock.now());
      else if (keyId !== UNSIGNED || signature !== '')
        throw wrong('unknown_key', 'this hoster knows no keys of routers');
      const ticket = decode(payload);
      checkUse(ticket, use);
      return ticket;
    },
  };
}

function checkKey(
  keys: KeySource,
  keyId: string,
  payload: string,
  signature: string,
  nowMs: number,
): void {
  let key: PublicKey;
  try {
    key = currentKey(keys, keyId, nowMs);
  } catch {
    throw wrong(
      'unknown_key',
      'its key is not a router’s in the keys.json of this hoster: copy the newest keys.json to it',
    );
  }
  if (!key.uses.has('ticket')) throw wrong('unknown_key', 'its key is not for tickets');
  if (!verifyBytes(signedBytes(keyId, payload), key.key, signature))
    throw wrong('forged', 'its signature is wrong');
}

function checkUse(ticket: Ticket, use: TicketUse): void {
  if (ticket.principal !== use.principal)
    throw wrong('other_principal', 'it was given to somebody else');
  if (ticket.nodeId !== use.nodeId)
    throw wrong('other_node', `it is for node ${ticket.nodeId}, this is ${use.nodeId}`);
  if (ticket.incarnation !== use.incarnation)
    throw wrong('other_incarnation', 'this hoster has restarted since');
  if (ticket.model !== use.model)
    throw wrong('other_model', `it is for model ${ticket.model}, not for ${use.model}`);
}

function encode(ticket: Ticket): string {
  const { leaseId, model, nodeId, incarnation, principal, expiresMs } = ticket;
  const payload: Payload = {
    lease: leaseId,
    model,
    node: nodeId,
    incarnation,
    principal,
    expires: Math.round(expiresMs),
  };
  return Buffer.from(JSON.stringify(payload)).toString('base64url');
}

function decode(payload: string): Ticket {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  } catch {
    throw wrong('malformed', 'its payload is not JSON');
  }
  if (!isPayload(value)) throw wrong('malformed', 'its payload is not a ticket’s');
  const { lease, model, node, incarnation, principal, expires } = value;
  return { leaseId: lease, model, nodeId: node, incarnation, principal, expiresMs: expires };
}

function isPayload(value: unknown): value is Payload {
  if (typeof value !== 'object' || value === null) return false;
  const { expires, ...texts } = value as Partial<Record<keyof Payload, unknown>>;
  const { lease, model, node, incarnation, principal, ...others } = texts;
  return (
    Number.isSafeInteger(expires) &&
    Object.keys(others).length === 0 &&
    [lease, model, node, incarnation, principal].every(
      (text) => typeof text === 'string' && text !== '' && text.length <= LONGEST_TEXT,
    )
  );
}

function split(encoded: string): [keyId: string, payload: string, signature: string] {
  const match = encoded.length > LONGEST ? null : FORM.exec(encoded);
  const [, keyId, payload, signature] = match ?? [];
  if (keyId === undefined || payload === undefined || signature === undefined)
    throw wrong('malformed', 'it does not look like a ticket');
  return [keyId, payload, signature];
}

const join = (keyId: string, payload: string, signature: string): string =>
  [VERSION, keyId, payload, signature].join('~');

const signedBytes = (keyId: string, payload: string): Buffer =>
  Buffer.from(['cabstand-ticket-v1', keyId, payload].join('\n'));

function wrong(problem: TicketProblem, why: string): CabstandError {
  return new CabstandError('TICKET_INVALID', `the ticket is not good here: ${why}`, {
    metadata: { problem },
  });
}
