import { SpanStatusCode, isSpanContextValid, trace } from '@opentelemetry/api';
import type {
  Attributes,
  Context,
  Span,
  SpanContext,
  SpanOptions,
  SpanStatus,
  Tracer,
  TracerProvider,
} from '@opentelemetry/api';

/** A span as a test sees it. */
export interface MadeSpan {
  readonly name: string;
  readonly options: SpanOptions;
  readonly context: SpanContext;
  readonly parent: SpanContext | undefined;
  readonly attributes: Attributes;
  readonly events: { readonly name: string; readonly attributes: Attributes }[];
  status: SpanStatus;
  ended: boolean;
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** Makes spans for tests, and keeps them: OpenTelemetry's API without its SDK. All are sampled. */
export class FakeTracer implements TracerProvider {
  readonly spans: MadeSpan[] = [];
  #next = 1;

  getTracer(): Tracer {
    return {
      startSpan: (name, options = {}, context) => this.#start(name, options, context),
      startActiveSpan: () => {
        throw new Error('nothing here makes spans active');
      },
    };
  }

  named(name: string): MadeSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  #start(name: string, options: SpanOptions, within: Context | undefined): Span {
    const given = within && trace.getSpanContext(within);
    const parent = given !== undefined && isSpanContextValid(given) ? given : undefined;
    const number = this.#next++;
    const context = {
      traceId: parent?.traceId ?? hex(number, 32),
      spanId: hex(number, 16),
      traceFlags: 1,
    };
    const made: MadeSpan = {
      ...{ name, options, context, parent, events: [], ended: false },
      attributes: { ...options.attributes },
      status: { code: SpanStatusCode.UNSET },
    };
    this.spans.push(made);
    return spanOf(made);
  }
}

function spanOf(made: MadeSpan): Span {
  const span: Span = {
    spanContext: () => made.context,
    setAttribute: (key, value) => {
      made.attributes[key] = value;
      return span;
    },
    setAttributes: (attributes) => {
      Object.assign(made.attributes, attributes);
      return span;
    },
    addEvent: (name, attributes) => {
      made.events.push({ name, attributes: { ...(attributes as Attributes | undefined) } });
      return span;
    },
    addLink: () => span,
    addLinks: () => span,
    setStatus: (status) => {
      made.status = status;
      return span;
    },
    updateName: () => span,
    end: () => {
      made.ended = true;
    },
    isRecording: () => !made.ended,
    recordException: () => undefined,
  };
  return span;
}
