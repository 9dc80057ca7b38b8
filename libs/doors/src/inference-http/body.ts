/** Bodies of requests: JSON, and behind it the bytes of tensors. */
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { CabstandError, MIB, invalid } from '@cabstand/core';
import { bodyTooLarge, collectBody, parseJson } from '@cabstand/service';

/** How long the JSON in front of the binary part is. */
export const JSON_LENGTH = 'inference-header-content-length';
/** JSON is parsed in one go: what has more numbers sends them as bytes. */
const MOST_JSON_BYTES = 2 * MIB;

export interface Body {
  /** Undefined where there is none. */
  readonly json: unknown;
  readonly binary: Buffer;
}

/** Reads a body no further than the limit. Throws LIMIT_EXCEEDED, MESSAGE_TOO_LARGE or INVALID_ARGUMENT. */
export async function readBody(
  request: IncomingMessage,
  limitBytes: number,
  signal: AbortSignal,
): Promise<Body> {
  const whole = await unpacked(request, await collectBody(request, limitBytes, signal), limitBytes);
  const length = jsonLength(request, whole.length);
  if (length > MOST_JSON_BYTES)
    throw invalid(
      'LIMIT_EXCEEDED',
      'JSON of the request',
      `${length} bytes`,
      `at most ${MOST_JSON_BYTES}: send tensors as binary data`,
    );
  return { json: parse(whole.subarray(0, length)), binary: whole.subarray(length) };
}

const UNPACKERS = new Map([
  ['gzip', gunzip],
  ['deflate', inflate],
]);

async function unpacked(
  { headers }: IncomingMessage,
  bytes: Buffer,
  limitBytes: number,
): Promise<Buffer> {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return bytes;
  const unpack = UNPACKERS.get(encoding);
  if (unpack === undefined)
    throw invalid('INVALID_ARGUMENT', 'content-encoding', encoding, 'gzip or deflate');
  try {
    return await promisify<Buffer, { maxOutputLength: number }, Buffer>(unpack)(bytes, {
      maxOutputLength: limitBytes,
    });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw bodyTooLarge(undefined, limitBytes);
    throw new CabstandError('INVALID_ARGUMENT', `the body is no ${encoding}`, { cause });
  }
}

function jsonLength({ headers }: IncomingMessage, bytes: number): number {
  const given = headers[JSON_LENGTH];
  if (given === undefined) return bytes;
  const length = typeof given === 'string' && /^\d{1,15}$/.test(given) ? Number(given) : NaN;
  if (length <= bytes) return length;
  throw invalid('INVALID_ARGUMENT', JSON_LENGTH, given, `a number of at most ${bytes} bytes`);
}

function parse(bytes: Buffer): unknown {
  return bytes.length === 0 ? undefined : parseJson(bytes);
}
