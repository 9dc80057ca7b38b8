import type { Logger } from '@cabstand/service';
import type { SessionObserver } from './sessions/observer';
import type { SessionFacts } from './sessions/session-facts';

/** Logs what becomes of sessions: the ordinary as debug, what somebody may ask about as info. */
export function sessionLog(logger: Logger): SessionObserver {
  const facts = (session: SessionFacts): object => ({
    session_id: session.id,
    epoch: session.epoch.counter,
    principal: session.principal,
    model: session.model.name,
  });
  return {
    opened: (session) => {
      if (logger.isLevelEnabled('debug')) logger.debug(facts(session), 'session opened');
    },
    epochRaised: (session) => logger.info(facts(session), 'session taken over by a higher epoch'),
    resumed: (session) =>
      logger.info({ ...facts(session), position: session.position }, 'session goes on here'),
    rebuilt: (session, cause, seconds) => {
      if (logger.isLevelEnabled('debug'))
        logger.debug({ ...facts(session), cause, seconds }, 'session goes on in another engine');
    },
    poisoned: (session) =>
      logger.warn({ ...facts(session), position: session.position }, 'turn kills engines'),
    ended: (session, end, seconds) => {
      const ordinary = ['completed', 'stopped', 'cancelled'].includes(end.reason);
      const level = ordinary ? 'debug' : 'info';
      if (!logger.isLevelEnabled(level)) return;
      logger[level](
        {
          ...facts(session),
          reason: end.reason,
          error: end.error?.reason,
          position: session.position,
          seconds,
        },
        'session ended',
      );
    },
  };
}
