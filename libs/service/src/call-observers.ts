import type { CallObserver } from '@cabstand/rpc';
import { callLog } from './call-log';
import type { RefusalLog } from './refusal-log';
import type { ServiceContext } from './run';
import { callSpans } from './tracing/call-spans';

/** What a service sees of its calls, however they come: metrics, log lines, and spans where they are traced. */
export function callObservers(
  { logger, metrics, tracer }: Pick<ServiceContext<unknown>, 'logger' | 'metrics' | 'tracer'>,
  refusals: RefusalLog,
): readonly CallObserver[] {
  const spans = tracer === undefined ? [] : [callSpans(tracer)];
  return [metrics.rpc, callLog(logger, refusals), ...spans];
}
