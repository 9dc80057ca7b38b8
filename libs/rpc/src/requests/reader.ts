import { CabstandError } from '@cabstand/core';
import type { MethodInfo } from '../contract';
import { packageDefinition } from '../proto';
import { refuseWide } from '../wide-numbers';
import { SLICE, decodeInSlices } from './decode';
import { inspect } from './inspect';
import { readLivePart } from './live-part';
import { shapeOf } from './shape';
import type { MessageShape } from './shape';

/**
 * Reads one request: a promise where it is large, and then in slices between which others have their turn.
 * Throws, or rejects with, INVALID_ARGUMENT for bytes that are no message, UNIMPLEMENTED or LIMIT_EXCEEDED.
 */
export type RequestReader<Req> = (bytes: Buffer) => Req | Promise<Req>;

/**
 * What nodes tell routers of themselves. They are let in by role, and a newer one may say more than an
 * older router knows: leaving that out changes nothing that anybody asked for.
 */
const STATEMENTS: ReadonlySet<string> = new Set([
  'rpc_register',
  'rpc_heartbeat',
  'rpc_deregister',
  'rpc_report',
]);

/** The method whose requests hold parts of live input. */
const LIVE_PATH = '/cabstand.v1.HosterService/rpc_session_stream';

export function requestReader<Req>(
  info: MethodInfo,
  decode: (bytes: Buffer) => Req,
  shape: MessageShape | undefined = requestShape(info),
): RequestReader<Req> {
  if (shape === undefined) return (bytes) => explained(bytes, () => decode(bytes));
  const quick = info.path === LIVE_PATH ? readLivePart : undefined;
  return (bytes) => {
    // What it reads is below every limit, and has no number that is wide.
    const part = quick?.(bytes);
    if (part !== undefined) return part as Req;
    const weight = explained(bytes, () => inspect(shape, bytes));
    if (weight <= SLICE) return explained(bytes, () => decode(bytes));
    return decodeInSlices(shape, bytes).then(
      (request) => {
        refuseWide(info, request, bytes);
        // The shape is that of the method's request.
        return request as Req;
      },
      (thrown: unknown) => {
        throw noRequest(bytes, thrown);
      },
    );
  };
}

/** Undefined for methods of other contracts, which bring their own, and for statements, which are decoded as they come. */
function requestShape({ service, method }: MethodInfo): MessageShape | undefined {
  if (!service.startsWith('cabstand.') || STATEMENTS.has(method)) return undefined;
  const found = packageDefinition[service];
  if (found === undefined || 'format' in found) return undefined;
  const type = found[method]?.requestType.type as { readonly name: string } | undefined;
  return type && shapeOf(`${service.slice(0, service.lastIndexOf('.'))}.${type.name}`);
}

function explained<T>(bytes: Buffer, step: () => T): T {
  try {
    return step();
  } catch (thrown) {
    throw noRequest(bytes, thrown);
  }
}

/** Bytes that are no message are the caller's mistake. */
function noRequest(bytes: Buffer, thrown: unknown): CabstandError {
  if (CabstandError.is(thrown)) return thrown;
  return new CabstandError('INVALID_ARGUMENT', 'the request is not a message of this method', {
    metadata: { bytes: String(bytes.length) },
    cause: thrown,
  });
}
