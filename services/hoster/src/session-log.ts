import { traceIdOf } from '@cabstand/rpc';
import type { Logger } from '@cabstand/service';
import type { Observe, SessionFacts } from '@cabstand/sessions';

/** Logs what becomes of sessions: the ordinary as debug, what somebody may ask about as info. */
export function sessionLog(logger: Logger): Observe {
  const facts = (session: SessionFacts): object => ({
    session_id: session.id,
    epoch: session.epoch.counter,
    principal: session.principal,
    model: session.model.name,
    ...(session.trace !== undefined && { trace_id: traceIdOf(session.trace) }),
  });
  return (event) => {
    switch (event.kind) {
      case 'opened':
        if (logger.isLevelEnabled('debug')) logger.debug(facts(event.session), 'session opened');
        return;
      case 'epoch_raised':
        logger.info(facts(event.session), 'session taken over by a higher epoch');
        return;
      case 'resumed': {
        const { position } = event.session;
        logger.info({ ...facts(event.session), position }, 'session goes on here');
        return;
      }
      case 'rebuilt': {
        if (!logger.isLevelEnabled('debug')) return;
        const { cause, seconds } = event;
        const fields = { ...facts(event.session), cause, seconds };
        logger.debug(fields, 'session goes on in another engine');
        return;
      }
      case 'poisoned': {
        const { position } = event.session;
        logger.warn({ ...facts(event.session), position }, 'turn kills engines');
        return;
      }
      case 'ended': {
        const { end, seconds } = event;
        const ordinary = ['completed', 'stopped', 'cancelled'].includes(end.reason);
        const level = ordinary ? 'debug' : 'info';
        if (!logger.isLevelEnabled(level)) return;
        const { position } = event.session;
        const why = { reason: end.reason, error: end.error?.reason };
        logger[level]({ ...facts(event.session), ...why, position, seconds }, 'session ended');
        return;
      }
      default:
    }
  };
}
