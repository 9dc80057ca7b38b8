import type { CallObserver } from '@cabstand/rpc';
import type { Logger } from './log';

/** Logs how calls end: the server's own failures as errors, refusals as info, the rest as debug. */
export function callLog(logger: Logger): CallObserver {
  return {
    started: (info) => {
      const begin = performance.now();
      return {
        messageSent: () => undefined,
        messageReceived: () => undefined,
        finished: (error, { principal, peer }) => {
          const level =
            error === undefined || error.reason === 'CANCELLED'
              ? 'debug'
              : error.reason === 'INTERNAL'
                ? 'error'
                : 'info';
          if (!logger.isLevelEnabled(level)) return;
          const facts = {
            method: info.path,
            principal: principal?.id,
            peer,
            ms: Math.round(performance.now() - begin),
          };
          if (error === undefined) logger[level](facts, 'call ended');
          else if (level === 'error') logger.error({ ...facts, err: error }, 'call failed');
          else
            logger[level](
              { ...facts, reason: error.reason, message: error.message },
              'call refused',
            );
        },
      };
    },
  };
}
