import { CabstandError } from '@cabstand/core';
import type { HosterInfo } from './info';
import type { RemoteNode } from './types';

/** What hosters say of themselves, where no router tells of them; those that do not answer are offline. */
export function askHosters(
  addresses: readonly string[],
  info: (address: string) => Promise<HosterInfo>,
): Promise<RemoteNode[]> {
  return Promise.all(addresses.map((address) => askHoster(address, info)));
}

async function askHoster(
  address: string,
  info: (address: string) => Promise<HosterInfo>,
): Promise<RemoteNode> {
  const base = {
    address,
    stateReasons: [],
    registeredAt: undefined,
    lastHeartbeatAt: undefined,
    bannedUntil: undefined,
  };
  try {
    const { nodeId, incarnation, draining, models, openSessions, version } = await info(address);
    return {
      ...base,
      nodeId,
      incarnation,
      state: draining ? 'draining' : 'online',
      models: models.map((model) => ({ ...model, queueDepth: 0, stepSeconds: 0 })),
      openSessions,
      version,
    };
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    return {
      ...base,
      nodeId: address,
      incarnation: '',
      state: 'offline',
      stateReasons: [error.message],
      models: [],
      openSessions: 0,
      version: '',
    };
  }
}
