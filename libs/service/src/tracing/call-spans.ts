import { SpanKind } from '@opentelemetry/api';
import type { Span, Tracer } from '@opentelemetry/api';
import { contextOf, endCallSpan, rpcAttributes, spanName, traceOfSpan } from '@cabstand/rpc';
import type { CallObserver } from '@cabstand/rpc';

/** Calls with which traces begin where their callers have none: those that run a turn. */
const BEGINNERS: ReadonlySet<string> = new Set(['rpc_inference_stream', 'ModelInfer']);

/**
 * A span for each call that is part of a trace or runs a turn, from when its caller is known: who proves nothing
 * makes no spans. Streams of many turns have none of their own; their turns do.
 */
export function callSpans(tracer: Tracer): CallObserver {
  return {
    started: (info) => {
      let span: Span | undefined;
      return {
        messageSent: () => undefined,
        messageReceived: () => undefined,
        letIn: ({ trace }) => {
          if (info.kind === 'bidi' || (trace === undefined && !BEGINNERS.has(info.method)))
            return undefined;
          const how = { kind: SpanKind.SERVER, attributes: rpcAttributes(info) };
          span = tracer.startSpan(spanName(info), how, contextOf(trace));
          return traceOfSpan(span);
        },
        finished: (error) => {
          if (span !== undefined) endCallSpan(span, error);
        },
      };
    },
  };
}
