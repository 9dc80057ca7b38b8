import type { PlacementSource } from '@cabstand/client';

/** Always the one hoster that the user named; no router is asked. */
export function fixedPlacement(address: string): PlacementSource {
  return {
    acquire: () =>
      Promise.resolve({
        node: { nodeId: address, incarnation: '', address },
        lease: undefined,
        alternatives: [],
      }),
    enter: () => true,
    settle: () => undefined,
  };
}
