import { SpanKind, trace } from '@opentelemetry/api';
import { CabstandError } from '@cabstand/core';
import {
  contextOf,
  endCallSpan,
  rpcAttributes,
  spanName,
  traceHeaders,
  traceOfSpan,
} from '@cabstand/rpc';
import type { MethodInfo, TraceContext } from '@cabstand/rpc';

const tracer = trace.getTracer('@cabstand/client');

/** Makes a call that is part of a trace, with a span of its own; `headers` tell the server of that. */
export async function callSpan<T>(
  info: MethodInfo,
  parent: TraceContext | undefined,
  call: (headers: Readonly<Record<string, string>>) => Promise<T>,
): Promise<T> {
  if (parent === undefined) return await call({});
  const how = { kind: SpanKind.CLIENT, attributes: rpcAttributes(info) };
  const span = tracer.startSpan(spanName(info), how, contextOf(parent));
  let error: CabstandError | undefined;
  try {
    return await call(traceHeaders(traceOfSpan(span)));
  } catch (thrown) {
    error = CabstandError.from(thrown);
    throw error;
  } finally {
    endCallSpan(span, error);
  }
}
