import { SpanKind, context, trace } from '@opentelemetry/api';
import type { Attributes, Context, Span } from '@opentelemetry/api';
import { invalid } from '@cabstand/core';
import type { CabstandError } from '@cabstand/core';
import { contextOf, failSpan, parseTrace, traceOfSpan } from '@cabstand/rpc';
import type { TraceContext } from '@cabstand/rpc';
import type { TurnResult } from '../session/chunk';
import type { SessionEvents } from '../session/events';
import type { SessionSettings } from '../session/options';

const tracer = trace.getTracer('@cabstand/client');

/** What a turn is part of: as its caller says, or of the span that is active. Throws INVALID_ARGUMENT. */
export function parentOf(given: TraceContext | undefined): Context {
  if (given === undefined) return context.active();
  const parent = parseTrace(given.traceparent, given.tracestate);
  if (parent === undefined)
    throw invalid(
      'INVALID_ARGUMENT',
      'trace.traceparent',
      given.traceparent,
      '00-{32 hex digits}-{16 hex digits}-{00 or 01}, as https://www.w3.org/TR/trace-context/ has it',
    );
  return contextOf(given.local === true ? { ...parent, local: true } : parent);
}

/** One turn of a session, wherever it goes. It holds names, numbers and reasons, nothing that is sent or received. */
export class TurnSpan {
  /** What calls for the turn are part of. */
  readonly trace: TraceContext;
  readonly #span: Span;

  private constructor(span: Span, own: TraceContext) {
    this.#span = span;
    this.trace = own;
  }

  /** Undefined where nobody traces: then a turn costs no more than finding that out. */
  static begin(
    parent: Context,
    { model, durable }: Pick<SessionSettings, 'model' | 'durable'>,
    turn: number,
  ): TurnSpan | undefined {
    const facts = { 'cabstand.model': model, 'cabstand.session.durable': durable };
    const how = { kind: SpanKind.CLIENT, attributes: { ...facts, 'cabstand.turn': turn } };
    const span = tracer.startSpan('cabstand.turn', how, parent);
    const own = traceOfSpan(span);
    return own && new TurnSpan(span, own);
  }

  /** What the session tells its listeners while the turn runs. */
  heard<K extends keyof SessionEvents>(name: K, values: SessionEvents[K]): void {
    if (!this.#span.isRecording()) return;
    const attributes = attributesOf(name, values);
    if (attributes !== undefined) this.#span.addEvent(name, attributes);
  }

  end(result: TurnResult | undefined, error: CabstandError | undefined): void {
    if (result !== undefined) {
      const { reason, steps, chunks } = result;
      const counts = { 'cabstand.steps': steps, 'cabstand.chunks': chunks };
      this.#span.setAttributes({ 'cabstand.end_reason': reason, ...counts });
    }
    if (error !== undefined) failSpan(this.#span, error.reason);
    this.#span.end();
  }
}

type Told = {
  [K in keyof SessionEvents]: { name: K; values: SessionEvents[K] };
}[keyof SessionEvents];

/** Undefined for what is no event of the span. */
function attributesOf(name: keyof SessionEvents, values: unknown): Attributes | undefined {
  const told = { name, values } as Told;
  switch (told.name) {
    case 'opened': {
      const [{ sessionId, nodeId, model, version, position }] = told.values;
      return {
        'cabstand.session.id': sessionId,
        'cabstand.node.id': nodeId,
        'cabstand.model': model,
        'cabstand.model.version': version,
        'cabstand.position': position,
      };
    }
    case 'retry': {
      const [{ error, attempt, waitMs, node }] = told.values;
      return {
        'error.type': error.reason,
        'cabstand.attempt': attempt,
        'cabstand.wait_seconds': waitMs / 1000,
        ...(node && { 'cabstand.node.id': node.nodeId }),
      };
    }
    case 'queued':
      return { 'cabstand.queue_position': told.values[0].position };
    case 'draining':
      return { 'cabstand.deadline_seconds': told.values[0].deadlineMs / 1000 };
    case 'recovering': {
      const [{ cause, from, position }] = told.values;
      return {
        'error.type': cause.reason,
        'cabstand.node.id': from.nodeId,
        'cabstand.position': position,
      };
    }
    case 'recovered': {
      const [{ cause, from, to, position, gapMs, attempts }] = told.values;
      return {
        'error.type': cause.reason,
        'cabstand.from_node.id': from.nodeId,
        'cabstand.node.id': to.nodeId,
        'cabstand.position': position,
        'cabstand.gap_seconds': gapMs / 1000,
        'cabstand.attempts': attempts,
      };
    }
    default:
      return undefined;
  }
}
