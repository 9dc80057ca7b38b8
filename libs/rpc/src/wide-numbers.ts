/**
 * Whole numbers of requests beyond ±(2^53 - 1): JavaScript would take them for one of their neighbours. They
 * are refused as what was sent.
 */
import { invalid } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import type { MethodInfo } from './contract';
import { loadProto, serviceMethods } from './proto';

const HOSTER = 'cabstand.v1.HosterService';

type Decode<Req> = (bytes: Buffer) => Req;
type Path = readonly (string | number)[];

const RANGE = `a whole number from ${Number.MIN_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}`;

/** Decodes requests of a method. Throws as `refuseWide` does. */
export function refusingWide<Req>(
  service: string,
  method: string,
  decode: Decode<Req>,
): Decode<Req> {
  if (service !== HOSTER) return decode;
  return (bytes) => {
    const request = decode(bytes);
    refuseWide({ service, method }, request, bytes);
    return request;
  };
}

/** Throws for a number in a hoster's request that is too large, naming its field. */
export function refuseWide(
  { service, method }: Pick<MethodInfo, 'service' | 'method'>,
  request: unknown,
  bytes: Buffer,
): void {
  if (service !== HOSTER) return;
  for (const path of wide(request, [])) {
    const sent = at(exactDecoder(service, method)(bytes), path);
    // Anything else is a number with a fraction part, which may be as large as it likes.
    if (typeof sent === 'string') throw invalid(reasonFor(path), named(path), BigInt(sent), RANGE);
  }
}

function* wide(value: unknown, path: Path): Generator<Path> {
  if (typeof value === 'number') {
    if (Math.abs(value) > Number.MAX_SAFE_INTEGER) yield path;
  } else if (Array.isArray(value)) {
    if (typeof value[0] === 'string') return;
    for (const [index, item] of value.entries()) yield* wide(item, [...path, index]);
  } else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array))
    for (const [name, member] of Object.entries(value))
      if (typeof member === 'object' || typeof member === 'number')
        yield* wide(member, [...path, name]);
}

const decoders = new Map<string, Decode<unknown>>();

/** Gives whole numbers of 64 bits as text. Loaded when it is needed: hardly ever. */
function exactDecoder(service: string, method: string): Decode<unknown> {
  const key = `${service}/${method}`;
  let decoder = decoders.get(key);
  if (decoder === undefined) {
    const files = ['cabstand/v1/router.proto', 'cabstand/v1/hoster.proto'];
    const found = serviceMethods(loadProto(files, String), service).get(method);
    if (found === undefined) throw new Error(`the contract has no method ${key}`);
    decoders.set(key, (decoder = found.requestDeserialize));
  }
  return decoder;
}

function at(value: unknown, path: Path): unknown {
  let found = value;
  for (const step of path) found = (found as Record<string | number, unknown>)[step];
  return found;
}

function reasonFor(path: Path): Reason {
  const name = path.findLast((step) => typeof step === 'string') ?? '';
  if (name === 'shape') return 'INPUT_SHAPE';
  if (name === 'turn') return 'TURN_OUT_OF_ORDER';
  return name.endsWith('position') ? 'POSITION_INVALID' : 'INVALID_ARGUMENT';
}

/** `inputs[0].shape[1]` */
function named(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .slice(1);
}
