import type { AuditFrame } from './types';

/** Why a model is unbatched after an audit. */
export function auditReason({ output, got, expected }: AuditFrame): string {
  return `an audit found that a row depends on its neighbours: output ${output} was ${got} among others and is ${expected} alone`;
}
