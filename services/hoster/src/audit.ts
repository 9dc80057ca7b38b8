import type { BidiHandler, v1 } from '@cabstand/rpc';
import { NO_AUDIT, callerOf } from '@cabstand/service';
import type { AuditEvent, AuditLog } from '@cabstand/service';
import type { Observe, SessionEvent } from '@cabstand/sessions';

type Stream = BidiHandler<v1.SessionStreamRequest__Output, v1.SessionStreamResponse>;

const EVENTS: Partial<Record<SessionEvent['kind'], AuditEvent>> = {
  opened: 'session_opened',
  resumed: 'session_resumed',
  epoch_raised: 'session_taken_over',
  ended: 'session_ended',
};

/** Writes down whose sessions begin and end here. */
export function sessionAudit(audit: AuditLog): Observe {
  return (event) => {
    const name = EVENTS[event.kind];
    if (name === undefined || !('session' in event)) return;
    const { id, principal, model, epoch } = event.session;
    audit.record(name, {
      principal,
      session_id: id,
      model: model.name,
      epoch: epoch.counter,
      ...(event.kind === 'ended'
        ? { reason: event.end.reason, error: event.end.error?.reason }
        : {}),
    });
  };
}

/** Writes down who asks to be let into a session that is there. Whether he was, the log of calls says. */
export function attachAudit(audit: AuditLog, handler: Stream): Stream {
  if (audit === NO_AUDIT) return handler;
  return (requests, call, out) => {
    const tell = ({ attach }: v1.SessionStreamRequest__Output): void => {
      if (!attach) return;
      const { session_id, role, epoch } = attach;
      const event = role === 'ATTACH_ROLE_VIEWER' ? 'session_viewed' : 'session_attached';
      audit.record(event, { ...callerOf(call), session_id, epoch: epoch?.counter });
    };
    return handler(withFirst(requests, tell), call, out);
  };
}

/** The same messages, of which the first is looked at; the others, maybe thousands a second, go straight through. */
function withFirst<T>(messages: AsyncIterable<T>, look: (first: T) => void): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const source = messages[Symbol.asyncIterator]();
      let first = true;
      return {
        next: () => {
          const next = source.next();
          if (!first) return next;
          first = false;
          return next.then((result) => {
            if (result.done !== true) look(result.value);
            return result;
          });
        },
        return: (value: unknown) =>
          source.return?.(value) ?? Promise.resolve({ done: true, value }),
      };
    },
  };
}
