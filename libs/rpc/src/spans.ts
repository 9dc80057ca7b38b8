import {
  ROOT_CONTEXT,
  SpanStatusCode,
  TraceFlags,
  createTraceState,
  isSpanContextValid,
  trace,
} from '@opentelemetry/api';
import type { Attributes, Context, Span } from '@opentelemetry/api';
import { status } from '@grpc/grpc-js';
import type { CabstandError } from '@cabstand/core';
import type { MethodInfo } from './contract';
import { codeName } from './status';
import type { TraceContext } from './trace';

/** What a span is a child of. Without a trace: of nothing. */
export function contextOf(parent: TraceContext | undefined): Context {
  if (parent === undefined) return ROOT_CONTEXT;
  const { traceparent, tracestate, local = false } = parent;
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  return trace.setSpanContext(ROOT_CONTEXT, {
    ...{ traceId, spanId, isRemote: !local },
    traceFlags: flags === '01' ? TraceFlags.SAMPLED : TraceFlags.NONE,
    ...(tracestate === undefined ? {} : { traceState: createTraceState(tracestate) }),
  });
}

/** What children of a span are told of it; undefined where nobody traces. */
export function traceOfSpan(span: Span): TraceContext | undefined {
  const context = span.spanContext();
  if (!isSpanContextValid(context)) return undefined;
  const { traceId, spanId, traceFlags } = context;
  const flags = (traceFlags & TraceFlags.SAMPLED) === 0 ? '00' : '01';
  const tracestate = context.traceState?.serialize();
  return {
    traceparent: `00-${traceId}-${spanId}-${flags}`,
    ...(tracestate === undefined || tracestate === '' ? {} : { tracestate }),
    local: true,
  };
}

/** https://opentelemetry.io/docs/specs/semconv/rpc/grpc/ */
export function rpcAttributes({ service, method }: MethodInfo): Attributes {
  return { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };
}

export function spanName({ service, method }: MethodInfo): string {
  return `${service}/${method}`;
}

/** Ends a span of a call. Only reasons are told: messages may hold what callers sent. */
export function endCallSpan(span: Span, error: CabstandError | undefined): void {
  span.setAttribute('rpc.grpc.status_code', status[codeName(error)]);
  if (error !== undefined) failSpan(span, error.reason);
  span.end();
}

/** What its caller took back, or what has come to its time, is no error. */
export function failSpan(span: Span, reason: string): void {
  span.setAttribute('error.type', reason);
  if (reason !== 'CANCELLED') span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
}
