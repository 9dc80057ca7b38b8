import { systemClock } from '@cabstand/core';
import type { SessionProtocol, SessionStatus, Target } from '../protocol/types';
import type { PlacementSource } from '../remote/types';
import { findSession } from './find';

const node = (address: string): Target => ({ nodeId: address, incarnation: '1', address });

function setting(known: readonly Target[]) {
  const asked: string[] = [];
  let located: (nodes: readonly Target[]) => void = () => undefined;
  const claimed = new Promise<readonly Target[]>((resolve) => (located = resolve));
  const placement: Partial<PlacementSource> = {
    knownHosters: () => known,
    locate: () => claimed,
  };
  const protocol: Partial<SessionProtocol> = {
    status: ({ address }) => {
      asked.push(address);
      const status: Partial<SessionStatus> = { state: 'streaming', epoch: 1 };
      return Promise.resolve(status as SessionStatus);
    },
  };
  const context = {
    placement: placement as PlacementSource,
    protocol: protocol as SessionProtocol,
    clock: systemClock,
  };
  const finding = findSession(context, 'session', 'm', 1000, undefined);
  return { asked, located, finding };
}

test('a known hoster is asked while a router still looks, and once', async () => {
  const { asked, located, finding } = setting([node('a'), node('b')]);
  expect(asked).toEqual(['a', 'b']);
  located([node('b')]);
  expect(await finding).toMatchObject({ node: { address: 'b' } });
  expect(asked).toEqual(['a', 'b']);
});

test('many known hosters wait for the word of a router', async () => {
  const { asked, located, finding } = setting(['a', 'b', 'c', 'd'].map(node));
  expect(asked).toEqual([]);
  located([node('c')]);
  expect(await finding).toMatchObject({ node: { address: 'c' } });
  expect(asked).toEqual(['c']);
});
