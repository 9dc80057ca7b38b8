import { CabstandError, checkOptions } from '@cabstand/core';
import type { SessionProtocol, Target } from '../protocol/types';
import { SHARE_NAMES } from './options';
import type { ShareOptions } from './options';

/** See `Session.share`. @param node the hoster that has the session */
export async function shareSession(
  protocol: SessionProtocol,
  node: Target | undefined,
  sessionId: string,
  options: ShareOptions,
  deadlineMs: number,
): Promise<string> {
  checkOptions('share()', options, SHARE_NAMES);
  if (node === undefined)
    throw new CabstandError('SESSION_UNKNOWN', 'share: no hoster has the session');
  const { ttlMs = 0, principal = '', signal } = options;
  return await protocol.share(node, { sessionId, ttlMs, principal }, { signal, deadlineMs });
}
