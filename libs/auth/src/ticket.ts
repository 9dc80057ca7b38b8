import { BoundedMap, CabstandError, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { currentKey, signBytes, verifyBytes } from './keys';
import type { KeySource, PrivateKey, PublicKey } from './keys';
import { rootOf, treeOver } from './ticket-tree';

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
  /** Those that are given at once, for one signature: 64 at most. One for each, in order. */
  signAll(tickets: readonly Ticket[]): string[];
}

/** Checks tickets. */
export interface TicketVerifier {
  /**
   * Throws TICKET_INVALID whose metadata names the `problem`. Time is not held against a ticket: it is
   * a hint about capacity, and the router's clock may be off. Whoever comes late finds a slot or none.
   */
  verify(ticket: string, use: TicketUse): Ticket;
}

/** A ticket with a signature of its own, and one of several that share one. */
type Version = 'v1' | 'v2';
/** Key id of tickets without a signature: services without credentials, on loopback. */
const UNSIGNED = 'local';
const LONGEST = 4096;
const FORM =
  /^(?:v1|v2~([A-Za-z0-9_-]+))~([A-Za-z0-9][A-Za-z0-9._@:-]{0,127})~([A-Za-z0-9_-]+)~([A-Za-z0-9_-]*)$/;
/** Signatures of several tickets that were found good: the others of theirs need not be checked again. */
const MOST_REMEMBERED = 4096;

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
  const sign = (ticket: Ticket): string => {
    const payload = encode(ticket);
    return join(['v1', key.id, payload, signBytes(signedBytes('v1', key.id, payload), key.key)]);
  };
  return {
    sign,
    signAll: (tickets) => {
      if (tickets.length < 2) return tickets.map(sign);
      const payloads = tickets.map(encode);
      const { root, paths } = treeOver(payloads);
      const signed = signedBytes('v2', key.id, root.toString('base64url'));
      const signature = signBytes(signed, key.key);
      return payloads.map((payload, place) =>
        join(['v2', paths[place]?.toString('base64url') ?? '', key.id, payload, signature]),
      );
    },
  };
}

/** Tickets without a signature, for services without credentials on one machine. */
export function unsignedTickets(): TicketSigner {
  const sign = (ticket: Ticket): string => join(['v1', UNSIGNED, encode(ticket), '']);
  return { sign, signAll: (tickets) => tickets.map(sign) };
}

export interface TicketVerifierOptions {
  /** Keys of the routers; those with the use `ticket` count. Without it only unsigned tickets pass. */
  readonly keys?: KeySource;
  readonly clock?: Clock;
}

export function ticketVerifier(options: TicketVerifierOptions = {}): TicketVerifier {
  const clock = options.clock ?? systemClock;
  const seal = options.keys && new SealCheck(options.keys);
  return {
    verify(encoded, use) {
      const parts = split(encoded);
      if (seal !== undefined) seal.check(parts, clock.now());
      else if (parts.keyId !== UNSIGNED || parts.signature !== '')
        throw wrong('unknown_key', 'this hoster knows no keys of routers');
      const ticket = decode(parts.payload);
      checkUse(ticket, use);
      return ticket;
    },
  };
}

/** Whether a router has signed a ticket. */
class SealCheck {
  readonly #keys: KeySource;
  /** Roots whose signatures were good, with the keys that they were good for. */
  readonly #good = new BoundedMap<string, PublicKey['key']>(MOST_REMEMBERED);

  constructor(keys: KeySource) {
    this.#keys = keys;
  }

  /** Throws TICKET_INVALID. A key that is not a router's any more makes none that are good. */
  check({ keyId, payload, path, signature }: Parts, nowMs: number): void {
    const key = this.#keyOf(keyId, nowMs);
    if (path === undefined) {
      if (!verifyBytes(signedBytes('v1', keyId, payload), key, signature))
        throw wrong('forged', 'its signature is wrong');
      return;
    }
    const root = rootOf(payload, path)?.toString('base64url');
    if (root === undefined) throw wrong('malformed', 'its path to what was signed is none');
    const known = `${keyId}~${root}~${signature}`;
    if (this.#good.get(known) === key) return;
    if (!verifyBytes(signedBytes('v2', keyId, root), key, signature))
      throw wrong('forged', 'its signature is wrong');
    this.#good.set(known, key);
  }

  #keyOf(keyId: string, nowMs: number): PublicKey['key'] {
    let key: PublicKey;
    try {
      key = currentKey(this.#keys, keyId, nowMs);
    } catch {
      throw wrong(
        'unknown_key',
        'its key is not a router’s in the keys.json of this hoster: copy the newest keys.json to it',
      );
    }
    if (!key.uses.has('ticket')) throw wrong('unknown_key', 'its key is not for tickets');
    return key.key;
  }
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

interface Parts {
  readonly keyId: string;
  readonly payload: string;
  readonly signature: string;
  /** From the payload to what was signed; undefined where that is the payload itself. */
  readonly path: Buffer | undefined;
}

function split(encoded: string): Parts {
  const match = encoded.length > LONGEST ? null : FORM.exec(encoded);
  const [, path, keyId, payload, signature] = match ?? [];
  if (keyId === undefined || payload === undefined || signature === undefined)
    throw wrong('malformed', 'it does not look like a ticket');
  return {
    ...{ keyId, payload, signature },
    path: path === undefined ? undefined : Buffer.from(path, 'base64url'),
  };
}

const join = (parts: readonly [Version, ...string[]]): string => parts.join('~');

/** @param what the payload, or the root over several */
const signedBytes = (version: Version, keyId: string, what: string): Buffer =>
  Buffer.from([`cabstand-ticket-${version}`, keyId, what].join('\n'));

function wrong(problem: TicketProblem, why: string): CabstandError {
  return new CabstandError('TICKET_INVALID', `the ticket is not good here: ${why}`, {
    metadata: { problem },
  });
}
