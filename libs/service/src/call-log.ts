import { DEFAULT_PERMISSIONS } from '@cabstand/auth';
import type { CabstandError } from '@cabstand/core';
import { traceIdOf } from '@cabstand/rpc';
import type { CallObserver, MethodInfo } from '@cabstand/rpc';
import type { Logger } from './log';
import type { RefusalLog } from './refusal-log';
import { toldFailure, toldRefusal } from './told-error';

/**
 * Logs how calls end: the server's own failures as errors, refusals as info, the rest as debug. What only
 * admins may call is always logged, whoever called it and however it ended. No line has what callers send to models.
 */
export function callLog(logger: Logger, refusals: RefusalLog): CallObserver {
  return {
    started: (info) => {
      const begin = performance.now();
      return {
        messageSent: () => undefined,
        messageReceived: () => undefined,
        finished: (error, { principal, peer, trace }) => {
          const facts = (): Record<string, unknown> => ({
            method: info.path,
            principal: principal?.id,
            ...(principal?.via !== undefined && { via: principal.via }),
            peer,
            ...(trace !== undefined && { trace_id: traceIdOf(trace) }),
            ms: Math.round(performance.now() - begin),
          });
          if (error?.reason === 'INTERNAL')
            logger.error({ ...facts(), err: toldFailure(error) }, 'call failed');
          else if (principal !== undefined && isForAdmins(info)) audit(logger, facts(), error);
          else if (error === undefined || error.reason === 'CANCELLED') {
            if (logger.isLevelEnabled('debug')) logger.debug(facts(), 'call ended');
          } else refusals.refused(error.reason, () => ({ ...facts(), ...toldRefusal(error) }));
        },
      };
    },
  };
}

function isForAdmins({ path }: MethodInfo): boolean {
  const roles = DEFAULT_PERMISSIONS[path];
  return roles?.length === 1 && roles[0] === 'admin';
}

/** One line for each call, done or refused. Of callers who prove nothing there may be many: they are not logged here. */
function audit(
  logger: Logger,
  facts: Readonly<Record<string, unknown>>,
  error: CabstandError | undefined,
): void {
  const outcome = error === undefined ? 'done' : error.reason;
  const told = error === undefined ? {} : toldRefusal(error);
  logger.info({ ...facts, outcome, ...told }, 'admin call');
}
