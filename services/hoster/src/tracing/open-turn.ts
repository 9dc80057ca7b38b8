import { ROOT_CONTEXT, trace } from '@opentelemetry/api';
import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';
import type { TurnEnd } from '@cabstand/engine';
import { failSpan } from '@cabstand/rpc';
import type { SessionEnd } from '@cabstand/sessions';

/** Ends of sessions that are none of a failure: a session that moved goes on elsewhere. */
const ORDERLY: ReadonlySet<string> = new Set(['completed', 'stopped', 'cancelled', 'migrated']);

/** The span of a turn that runs, and its parts. */
export class OpenTurn {
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;
  readonly #kind: string;
  readonly #startedAt = Date.now();
  #stepsSince = this.#startedAt;

  /** @param kind of its model */
  constructor(tracer: Tracer, span: Span, kind: string) {
    this.#tracer = tracer;
    this.#span = span;
    this.#context = trace.setSpan(ROOT_CONTEXT, span);
    this.#kind = kind;
  }

  event(name: string, attributes: Attributes): void {
    this.#span.addEvent(name, attributes);
  }

  /** With the first token of a language model its prompt is computed. */
  firstChunk(): void {
    if (this.#kind !== 'generator' && this.#kind !== 'language-model') {
      this.#span.addEvent('first_chunk');
      return;
    }
    const now = Date.now();
    this.#child('cabstand.prefill', this.#startedAt, now, {});
    this.#stepsSince = now;
  }

  ended(end: TurnEnd, position: number): void {
    const { reason, steps } = end;
    const generation = end.reason === 'error' ? undefined : end.generation;
    const tokens =
      generation === undefined
        ? {}
        : {
            'gen_ai.usage.input_tokens': generation.prompt,
            'gen_ai.usage.output_tokens': generation.answer,
            'cabstand.cached_tokens': generation.cached,
          };
    this.#child('cabstand.steps', this.#stepsSince, Date.now(), { 'cabstand.steps': steps });
    const attributes = { 'cabstand.end_reason': reason, 'cabstand.steps': steps, ...tokens };
    this.#end({ ...attributes, 'cabstand.position': position }, failureOf(end));
  }

  /** Its session has ended before it. */
  left({ reason, error }: SessionEnd, position: number): void {
    const failure = ORDERLY.has(reason) ? undefined : (error?.reason ?? reason);
    this.#end({ 'cabstand.end_reason': reason, 'cabstand.position': position }, failure);
  }

  #end(attributes: Attributes, failure: string | undefined): void {
    this.#span.setAttributes(attributes);
    if (failure !== undefined) failSpan(this.#span, failure);
    this.#span.end();
  }

  #child(name: string, startTime: number, endTime: number, attributes: Attributes): void {
    this.#tracer.startSpan(name, { startTime, attributes }, this.#context).end(endTime);
  }
}

function failureOf(end: TurnEnd): string | undefined {
  if (end.reason === 'error') return end.error.reason;
  return ORDERLY.has(end.reason) ? undefined : end.reason;
}
