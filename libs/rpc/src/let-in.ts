import type { Metadata } from '@grpc/grpc-js';
import type { CallObservation, LetIn } from './contract';
import { traceOf } from './trace';
import type { TraceContext } from './trace';

/**
 * Tells those who watch a call that its caller has proved who it is; only now counts which trace it names. Answers
 * the trace of the call from then on.
 */
export function tellLetIn(
  observations: readonly CallObservation[],
  metadata: Metadata,
  caller: Pick<LetIn, 'principal' | 'peer'>,
): TraceContext | undefined {
  let trace = traceOf(metadata);
  for (const one of observations) trace = one.letIn?.({ ...caller, trace }) ?? trace;
  return trace;
}
