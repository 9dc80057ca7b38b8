import { Metadata } from '@grpc/grpc-js';
import {
  BARE_STATUS,
  CabstandError,
  Code,
  REASONS,
  isOutOfDescriptors,
  isReason,
} from '@cabstand/core';
import type { CodeName, Reason } from '@cabstand/core';
import { googleRpc } from './proto';

const DOMAIN = 'cabstand';
const DETAILS = 'grpc-status-details-bin';
const ERROR_INFO = 'type.googleapis.com/google.rpc.ErrorInfo';
const RETRY_INFO = 'type.googleapis.com/google.rpc.RetryInfo';
/** Statuses travel in HTTP/2 headers, which Node limits to 64 KiB in all. */
const LONGEST_MESSAGE = 2048;
const LONGEST_VALUE = 1024;
const MOST_FACTS = 32;

/** A status as grpc-js takes it from a handler. */
export interface WireStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** What the caller of a failed call is told: code, sentence, and google.rpc details. */
export function toStatus(error: CabstandError): WireStatus {
  const code = Code[error.code];
  const message = clip(error.message, LONGEST_MESSAGE);
  const facts: Record<string, string> = {};
  for (const [key, value] of Object.entries(error.metadata).slice(0, MOST_FACTS))
    facts[clip(key, LONGEST_VALUE)] = clip(value, LONGEST_VALUE);
  const details = [
    {
      type_url: ERROR_INFO,
      value: googleRpc.ErrorInfo.encode({ reason: error.reason, domain: DOMAIN, metadata: facts }),
    },
  ];
  if (error.retryAfterMs !== undefined) {
    details.push({
      type_url: RETRY_INFO,
      value: googleRpc.RetryInfo.encode({ retry_delay: toDuration(error.retryAfterMs) }),
    });
  }
  const metadata = new Metadata();
  metadata.set(DETAILS, googleRpc.Status.encode({ code, message, details }));
  return { code, details: message, metadata };
}

/**
 * What a thrown value becomes on the wire. Only CabstandErrors are written for callers; anything else
 * may hold paths, keys or other callers' data, so its text stays here and INTERNAL is said instead.
 */
export function publicError(thrown: unknown): CabstandError {
  if (CabstandError.is(thrown)) return thrown;
  if (isOutOfDescriptors(thrown)) return CabstandError.from(thrown);
  return new CabstandError('INTERNAL', 'the server failed while handling the call', {
    cause: thrown,
  });
}

/** Reads a status that came from the wire: its details where it has them, else what the bare code means. */
export function fromStatus(
  code: number,
  message: string,
  metadata: Metadata | undefined,
): CabstandError {
  return fromDetails(message, metadata) ?? fromBare(code, message);
}

function fromDetails(message: string, metadata: Metadata | undefined): CabstandError | undefined {
  const bytes = metadata?.get(DETAILS)[0];
  if (!Buffer.isBuffer(bytes)) return undefined;
  let reason: Reason | undefined;
  let facts: Record<string, string> = {};
  let retryAfterMs: number | undefined;
  try {
    for (const detail of googleRpc.Status.decode(bytes).details) {
      const any = detail;
      if (any.type_url === ERROR_INFO) {
        const info = googleRpc.ErrorInfo.decode(any.value);
        if (info.domain !== DOMAIN || !isReason(info.reason)) continue;
        reason = info.reason;
        facts = info.metadata;
      } else if (any.type_url === RETRY_INFO) {
        retryAfterMs = fromDuration(googleRpc.RetryInfo.decode(any.value).retry_delay);
      }
    }
  } catch {
    // Details that cannot be read are as good as none: the code still says something.
    return undefined;
  }
  if (reason === undefined) return undefined;
  return new CabstandError(reason, message, {
    metadata: facts,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

const CODE_NAMES = new Map<number, CodeName>(
  (Object.entries(Code) as [CodeName, number][]).map(([name, code]) => [code, name]),
);

/** What grpc-js says of a message that it does not send or take. */
const TOO_LARGE = /^(?:Received|Sent) message larger than max \((\d+) vs\.? (\d+)\)$/;

function fromBare(code: number, message: string): CabstandError {
  const name = CODE_NAMES.get(code) ?? 'UNKNOWN';
  const [, bytes, limit] = name === 'RESOURCE_EXHAUSTED' ? (TOO_LARGE.exec(message) ?? []) : [];
  if (bytes !== undefined && limit !== undefined)
    return new CabstandError(
      'MESSAGE_TOO_LARGE',
      `a message has ${bytes} bytes, its sender or receiver allows ${limit}: maxMessageBytes of clients, rpc.max_message_bytes of services`,
      { metadata: { grpc_status: name, bytes, limit } },
    );
  return new CabstandError(BARE_STATUS[name], message === '' ? name : message, {
    metadata: { grpc_status: name },
  });
}

/** The gRPC code's name for an error, as metrics label it. */
export function codeName(error: CabstandError | undefined): CodeName {
  return error === undefined ? 'OK' : REASONS[error.reason].code;
}

/** google.protobuf.Duration of milliseconds. */
export function toDuration(ms: number): { seconds: number; nanos: number } {
  const seconds = Math.trunc(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}

/** Milliseconds of a google.protobuf.Duration; undefined for none. */
export function fromDuration(
  duration: { readonly seconds?: unknown; readonly nanos?: number | undefined } | null | undefined,
): number | undefined {
  if (duration === null || duration === undefined) return undefined;
  return Number(duration.seconds ?? 0) * 1000 + (duration.nanos ?? 0) / 1e6;
}

// Encoding and decoding once replaces lone surrogates, which a header cannot carry.
function clip(text: string, longest: number): string {
  const short = text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
  return Buffer.from(short).toString();
}
