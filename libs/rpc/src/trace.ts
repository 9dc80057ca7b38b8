import type { Metadata } from '@grpc/grpc-js';

/** https://www.w3.org/TR/trace-context/ */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
  /** The span that it names is one of this process. Default: another process's. */
  readonly local?: true;
}

/** Later versions may have more fields behind these. */
const TRACEPARENT =
  /^(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const LONGEST_PARENT = 128;
const LONGEST_STATE = 512;
const STATE = /^[ -~]+$/;
const SAMPLED = 1;

/**
 * A trace context that somebody sent; undefined for none and for a malformed one. It is given as version 00, with no
 * flag but that of sampling: nothing else that a caller sends is passed on.
 */
export function parseTrace(traceparent: unknown, tracestate?: unknown): TraceContext | undefined {
  if (typeof traceparent !== 'string' || traceparent.length > LONGEST_PARENT) return undefined;
  const match = TRACEPARENT.exec(traceparent);
  if (match === null) return undefined;
  const [, version = '', traceId = '', spanId = '', flags = '', more] = match;
  if (version === '00' && more !== undefined) return undefined;
  const sampled = (parseInt(flags, 16) & SAMPLED) === SAMPLED;
  return {
    traceparent: `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`,
    ...(isState(tracestate) ? { tracestate } : {}),
  };
}

function isState(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LONGEST_STATE && STATE.test(value);
}

/** The trace context of a call that came in; undefined if it has none, a malformed one, or several. */
export function traceOf(metadata: Metadata): TraceContext | undefined {
  const parents = metadata.get('traceparent');
  return parents.length === 1 ? parseTrace(parents[0], metadata.get('tracestate')[0]) : undefined;
}

/** Headers that pass a trace on to the next call. */
export function traceHeaders(trace: TraceContext | undefined): Readonly<Record<string, string>> {
  if (trace === undefined) return {};
  const { traceparent, tracestate } = trace;
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
}

/** 32 hex digits; undefined if spans of this trace are not kept. */
export function sampledTraceIdOf(trace: TraceContext): string | undefined {
  return trace.traceparent.endsWith('-01') ? traceIdOf(trace) : undefined;
}

/** 32 hex digits, for log lines. */
export function traceIdOf({ traceparent }: TraceContext): string {
  return traceparent.slice(3, 35);
}
