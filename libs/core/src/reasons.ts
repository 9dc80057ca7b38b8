/**
 * Every reason Cabstand gives for a refusal or a failure: the one table that maps reason → gRPC code
 * → class, made from proto/cabstand/v1/reasons.yaml. Reasons travel as `google.rpc.ErrorInfo.reason`
 * (domain `cabstand`).
 */
import { BARE_STATUS as BARE, Code, REASONS } from './generated/reasons';
import type { ErrorClass } from './generated/reasons';

export { Code, REASONS };
export type { ErrorClass };

export type CodeName = keyof typeof Code;

export type Reason = keyof typeof REASONS;

export function isReason(value: string): value is Reason {
  return Object.hasOwn(REASONS, value);
}

/**
 * What a bare status means, one that carries no ErrorInfo: gRPC itself made it. A message that is
 * too large arrives as a bare RESOURCE_EXHAUSTED.
 */
export const BARE_STATUS: Readonly<Record<CodeName, Reason>> = BARE;
