import { invalid } from '@cabstand/core';
import { isIPv6 } from 'node:net';
import { addressRefused } from './refusals';
import type { Allowance } from '../probing/allowance';
import type { ModelCondition, Offer } from './node';

/** What a hoster says of itself. */
export interface Registration {
  readonly address: string;
  readonly offers: readonly Offer[];
  /** Models that take no new sessions. */
  readonly others: readonly ModelCondition[];
  readonly version: string;
  readonly incarnation: string;
  /** Empty: made from the address. */
  readonly nodeId: string;
}

const NODE_ID = /^[A-Za-z0-9[][A-Za-z0-9._:[\]-]{0,127}$/;
const INCARNATION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MODEL = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const HOST = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;
const SESSION_ID = /^[A-Za-z0-9._-]{1,64}$/;
const WORD = /^[A-Za-z0-9._+-]{0,64}$/;

/**
 * Checks and completes a registration. Throws INVALID_ARGUMENT or LIMIT_EXCEEDED naming the field, and
 * PERMISSION_DENIED for an address that hosters may not give.
 */
export function checkRegistration(
  input: Registration,
  maxModels: number,
  allowed: Pick<Allowance, 'refuses'>,
): Registration {
  const why = allowed.refuses(checkAddress(input.address));
  if (why !== undefined) throw addressRefused(input.address, why);
  if (!INCARNATION.test(input.incarnation))
    throw invalid(
      'INVALID_ARGUMENT',
      'incarnation',
      input.incarnation,
      '1 to 64 of [A-Za-z0-9._-]',
    );
  if (input.version.length > 64)
    throw invalid('LIMIT_EXCEEDED', 'version', input.version, 'at most 64 characters');
  // Every router must make the same id from the same address: clients see them side by side.
  const nodeId = input.nodeId === '' ? input.address : input.nodeId;
  checkNodeId(nodeId);
  const others = boundConditions(input.others, maxModels);
  return { ...input, nodeId, offers: checkOffers(input.offers, maxModels), others };
}

/** They are only shown: what is too much or too long is cut, and no reason to refuse a node. */
export function boundConditions(
  others: readonly ModelCondition[],
  maxModels: number,
): readonly ModelCondition[] {
  return others.slice(0, maxModels).map(({ name, version, state }) => ({
    name: clip(name, 64),
    version: clip(version, 64),
    state,
  }));
}

export function checkOffers(offers: readonly Offer[], maxModels: number): readonly Offer[] {
  if (offers.length > maxModels)
    throw invalid('LIMIT_EXCEEDED', 'models', offers.length, `at most ${maxModels} models`);
  const seen = new Set<string>();
  offers.forEach((offer, i) => {
    const field = `models[${i}]`;
    checkModelName(offer.name, `${field}.name`);
    if (!WORD.test(offer.version) || offer.version === '')
      throw invalid(
        'INVALID_ARGUMENT',
        `${field}.version`,
        offer.version,
        '1 to 64 of [A-Za-z0-9._+-]',
      );
    if (offer.digest !== '' && !DIGEST.test(offer.digest))
      throw invalid(
        'INVALID_ARGUMENT',
        `${field}.digest`,
        offer.digest,
        '"sha256:" and 64 hex digits',
      );
    if (!Number.isInteger(offer.capacity) || offer.capacity < 0 || offer.capacity > 1_000_000)
      throw invalid('INVALID_ARGUMENT', `${field}.capacity`, offer.capacity, '0 to 1000000');
    for (const name of ['provider', 'kind', 'reference'] as const)
      if (!WORD.test(offer[name]))
        throw invalid('INVALID_ARGUMENT', `${field}.${name}`, offer[name], 'a short word');
    const key = `${offer.name}@${offer.version}`;
    if (seen.has(key)) throw invalid('INVALID_ARGUMENT', field, key, 'each model and version once');
    seen.add(key);
  });
  return offers;
}

/** `host:port`, `[v6]:port`; nothing that a client could not dial. Answers the host. */
function checkAddress(address: string): string {
  const wanted = 'host:port that clients can dial';
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, Math.max(0, colon));
  const digits = address.slice(colon + 1);
  const port = /^[1-9][0-9]{0,4}$/.test(digits) ? Number(digits) : 0;
  if (colon < 1 || port < 1 || port > 65_535)
    throw invalid('INVALID_ARGUMENT', 'address', address, wanted);
  const bracketed = host.startsWith('[') && host.endsWith(']');
  if (bracketed ? !isIPv6(host.slice(1, -1)) : !HOST.test(host))
    throw invalid('INVALID_ARGUMENT', 'address', address, wanted);
  if (host === '0.0.0.0' || host === '[::]')
    throw invalid('INVALID_ARGUMENT', 'address', address, `${wanted}, not a wildcard`);
  return host;
}

export function checkNodeId(id: string, field = 'node_id'): void {
  if (!NODE_ID.test(id))
    throw invalid('INVALID_ARGUMENT', field, id, '1 to 128 of [A-Za-z0-9._:-] and brackets');
}

export function checkModelName(name: string, field = 'model'): void {
  if (!MODEL.test(name))
    throw invalid('INVALID_ARGUMENT', field, name, 'a model name: [a-z0-9][a-z0-9._-]{0,63}');
}

export function checkDigest(digest: string): void {
  if (digest !== '' && !DIGEST.test(digest))
    throw invalid('INVALID_ARGUMENT', 'digest', digest, '"sha256:" and 64 hex digits, or nothing');
}

export function isSessionId(id: string): boolean {
  return SESSION_ID.test(id);
}

/** Throws INVALID_ARGUMENT naming the field. */
export function checkSessionId(id: string, field = 'session_id'): void {
  if (!isSessionId(id)) throw invalid('INVALID_ARGUMENT', field, id, '1 to 64 of [A-Za-z0-9._-]');
}

/** Free text from elsewhere, cut to a length that can be kept and shown. */
export function clip(text: string, most = 200): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is taken out
  const plain = text.replace(/[\u0000-\u001f\u007f]+/g, ' ');
  return plain.length > most ? `${plain.slice(0, most)}…` : plain;
}
