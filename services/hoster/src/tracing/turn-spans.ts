import { SpanKind } from '@opentelemetry/api';
import type { Attributes, Tracer } from '@opentelemetry/api';
import { contextOf } from '@cabstand/rpc';
import type { Observe, SessionFacts } from '@cabstand/sessions';
import { OpenTurn } from './open-turn';

/**
 * A span for each turn that runs here, and one for each wait for a slot that a traced opening brings. Attributes are
 * names, numbers and reasons: never what callers send, nor what comes of it.
 */
export function turnSpans(tracer: Tracer): Observe {
  const open = new WeakMap<SessionFacts, OpenTurn>();
  /** Came from elsewhere, and their turn has not begun here. */
  const coming = new WeakSet<SessionFacts>();
  return (event) => {
    switch (event.kind) {
      // The hot one.
      case 'record':
        return;
      case 'waited': {
        const { model, seconds, trace } = event;
        if (trace === undefined) return;
        const now = Date.now();
        const attributes = { 'cabstand.model': model, 'cabstand.wait_seconds': seconds };
        const kind = trace.local === true ? SpanKind.INTERNAL : SpanKind.SERVER;
        const how = { kind, attributes, startTime: now - seconds * 1000 };
        tracer.startSpan('cabstand.admission', how, contextOf(trace)).end(now);
        return;
      }
      case 'turn_started': {
        const { session } = event;
        const { trace } = session;
        const kind = trace?.local === true ? SpanKind.INTERNAL : SpanKind.SERVER;
        const how = { kind, attributes: attributesOf(session) };
        const span = tracer.startSpan('cabstand.hoster_turn', how, contextOf(trace));
        const resumed = coming.delete(session);
        if (!span.isRecording()) return;
        if (resumed) span.addEvent('resumed', positionOf(session));
        open.set(session, new OpenTurn(tracer, span, session.model.signature.kind));
        return;
      }
      case 'first_chunk':
        open.get(event.session)?.firstChunk();
        return;
      case 'resumed':
      case 'epoch_raised':
      case 'poisoned': {
        const { session, kind } = event;
        const turn = open.get(session);
        if (turn === undefined && kind === 'resumed') coming.add(session);
        turn?.event(kind, positionOf(session));
        return;
      }
      case 'rebuilt': {
        const { session, cause, seconds } = event;
        const facts = { 'error.type': cause, 'cabstand.wait_seconds': seconds };
        open.get(session)?.event('rebuilt', facts);
        return;
      }
      case 'turn_ended': {
        const { session, end } = event;
        open.get(session)?.ended(end, session.position);
        open.delete(session);
        return;
      }
      case 'ended': {
        const { session, end } = event;
        open.get(session)?.left(end, session.position);
        open.delete(session);
        return;
      }
      default:
    }
  };
}

function positionOf({ position }: SessionFacts): Attributes {
  return { 'cabstand.position': position };
}

function attributesOf({ id, turn, model, durable, position, epoch }: SessionFacts): Attributes {
  return {
    'rpc.system': 'grpc',
    'rpc.service': 'cabstand.v1.HosterService',
    'cabstand.session.id': id,
    'cabstand.session.durable': durable,
    'cabstand.session.epoch': epoch.counter,
    'cabstand.turn': turn,
    'cabstand.model': model.name,
    'cabstand.model.version': model.version,
    'cabstand.model.kind': model.signature.kind,
    'cabstand.first_position': position,
    ...(model.provider === undefined ? {} : { 'cabstand.provider': model.provider }),
  };
}
