import type { Metadata } from '@grpc/grpc-js';

/** https://www.w3.org/TR/trace-context/ */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate: string | undefined;
}

const TRACEPARENT = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const LONGEST_STATE = 512;

/** The trace context of a call that came in; undefined if it has none or a malformed one. */
export function traceOf(metadata: Metadata): TraceContext | undefined {
  const traceparent = metadata.get('traceparent')[0];
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) return undefined;
  const state = metadata.get('tracestate')[0];
  const usable = typeof state === 'string' && state.length <= LONGEST_STATE;
  return { traceparent, tracestate: usable ? state : undefined };
}

/** Headers that pass a trace on to the next call. */
export function traceHeaders(trace: TraceContext | undefined): Readonly<Record<string, string>> {
  if (trace === undefined) return {};
  const { traceparent, tracestate } = trace;
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
}
