import { CabstandError, FakeClock } from '@cabstand/core';
import type { ProtocolEvent } from '../protocol/events';
import type { SessionChannel, SessionProtocol, SessionStatus } from '../protocol/types';
import type { PlacementSource } from '../remote/types';
import { SessionView } from './view';

const NODE = { nodeId: 'a', incarnation: '1', address: '127.0.0.1:1' };
const STATUS: SessionStatus = {
  ...{ state: 'streaming', position: 9, turn: 0, turnRuns: true, acknowledgedPosition: -1 },
  ...{ epoch: 1, model: 'm' },
};

const chunk = (position: number): ProtocolEvent => ({
  ...{ type: 'record', body: 'chunk', position, turn: 0, epoch: 1 },
  ...{ tensors: [], text: String(position) },
});

/** What one stream gives, and what it then fails with. */
interface Streamed {
  readonly events: readonly ProtocolEvent[];
  readonly failure?: CabstandError;
}

function channelOf({ events, failure }: Streamed): SessionChannel {
  const left = [...events];
  return {
    poll: () => left.shift(),
    wait: () =>
      failure === undefined ? Promise.resolve(left.length > 0) : Promise.reject(failure),
    cancel: () => undefined,
    finish: () => undefined,
    send: () => true,
    drained: () => Promise.resolve(),
  };
}

function viewOf(
  streams: Streamed[],
  status: SessionProtocol['status'] = () => Promise.resolve(STATUS),
) {
  const clock = new FakeClock();
  const protocol: Partial<SessionProtocol> = {
    openChannel: () => channelOf(streams.shift() ?? { events: [] }),
    status,
  };
  const placement: Partial<PlacementSource> = { locate: () => Promise.resolve([NODE]) };
  const view = new SessionView({
    protocol: protocol as SessionProtocol,
    placement: placement as PlacementSource,
    clock,
    ...{ sessionId: 's', model: 'm', firstMs: 1000, recoverMs: 1000, signal: undefined },
    found: { node: NODE, status: STATUS },
    released: () => undefined,
  });
  return { clock, view };
}

/** All texts; time passes as the view asks for it. */
async function texts(clock: FakeClock, view: SessionView): Promise<string> {
  const passing = setInterval(() => void clock.advance(50), 1);
  try {
    let all = '';
    for await (const { text } of view) all += text;
    return all;
  } finally {
    clearInterval(passing);
  }
}

const END: ProtocolEvent = { type: 'closed', reason: 'completed', error: undefined };
const failing = (reason: ConstructorParameters<typeof CabstandError>[0], metadata = {}) =>
  new CabstandError(reason, 'failed', { metadata });

test.each([
  ['its hoster is lost', failing('NODE_UNREACHABLE')],
  ['its credentials come to their end', failing('CREDENTIALS_EXPIRED', { open_call: 'ended' })],
  ['the session has just moved', failing('SESSION_UNKNOWN')],
])('a view goes on where %s', async (_, failure) => {
  const first = { events: [chunk(3), chunk(4)], failure };
  const second = { events: [chunk(4), chunk(5), END] };
  const { clock, view } = viewOf([first, second]);
  await expect(texts(clock, view)).resolves.toBe('345');
});

test.each(['evicted', 'lost', 'migrated'] as const)(
  'a view goes along where its session was %s and goes on elsewhere',
  async (reason) => {
    const first = { events: [chunk(3), { type: 'closed', reason, error: undefined } as const] };
    const { clock, view } = viewOf([first, { events: [chunk(4), END] }]);
    await expect(texts(clock, view)).resolves.toBe('34');
  },
);

test.each([
  ['anew under its name', { position: 2 }, '3401'],
  ['anew, where the one before had moved', { epoch: 0, position: 9 }, '3401'],
  ['elsewhere, from what its reader has', { epoch: 2, position: 0 }, '34'],
  ['by nobody, where it was left behind', { epoch: 0, state: 'orphaned' as const }, '34'],
])('a view of a session that goes on %s', async (_what, then, seen) => {
  const first = { events: [chunk(3), chunk(4)], failure: failing('SESSION_UNKNOWN') };
  const second = { events: [chunk(0), chunk(1), END] };
  const { clock, view } = viewOf([first, second], () => Promise.resolve({ ...STATUS, ...then }));
  await expect(texts(clock, view)).resolves.toBe(seen);
});

test('a session that nobody goes on with has ended as its hoster said', async () => {
  const lost = failing('NODE_UNREACHABLE');
  const end = { type: 'closed', reason: 'lost', error: lost } as const;
  const { clock, view } = viewOf([{ events: [chunk(3), end] }], () => Promise.reject(lost));
  const ends: unknown[] = [];
  view.on('end', (told) => ends.push(told));
  await expect(texts(clock, view)).resolves.toBe('3');
  expect(ends).toEqual([{ reason: 'lost', error: lost }]);
});

test('a view fails where it may not watch', async () => {
  const failure = failing('LIMIT_EXCEEDED');
  const { clock, view } = viewOf([{ events: [], failure }]);
  await expect(texts(clock, view)).rejects.toMatchObject({
    reason: 'LIMIT_EXCEEDED',
  });
});
