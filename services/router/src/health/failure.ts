import type { CabstandError } from '@cabstand/core';

/**
 * What everybody is told of a probe that failed: its kind. What it met in full may tell a member that
 * names addresses at will what there is in the router's network; that is for administrators and the log.
 */
export function kindOfFailure(error: CabstandError): string {
  if (error.metadata.setting === 'nodes.allow') return 'its address is not allowed';
  if (error.reason === 'DEADLINE_EXCEEDED') return 'no answer in time';
  if (/ECONNREFUSED|connection refused/i.test(error.message)) return 'connection refused';
  return 'unreachable';
}
