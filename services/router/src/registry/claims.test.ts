/** What hosters say that they have is believed as far as leases go, and told to nobody else. */
import { CLIENT, HOSTER, beat, claim, join, offer, refusal, stand, wanted } from '../core.fixture';
import type { RouterCore } from '../core';

const nodesOf = (core: RouterCore, sessionId: string, principal = CLIENT): string[] =>
  core.locate(sessionId, principal).map(({ node }) => node.id);

/** The principal has had a session at the node, with a lease of this router. */
function lease(core: RouterCore, node: string, principal = CLIENT): void {
  const { lease } = core.acquire(wanted({ allow: [node] }), principal);
  core.heartbeat(beat(node, { consumedLeaseIds: [lease.leaseId] }), HOSTER);
}

const claims = (core: RouterCore, node: string, ...sessionsOpened: ReturnType<typeof claim>[]) =>
  core.heartbeat(beat(node, { sessionsOpened }), HOSTER);

test('claims: the highest epoch first, closed ones gone, all of it bounded', () => {
  const { core } = stand({ maxClaims: 3, maxClaimsPerNode: 2 });
  join(core, 'a');
  join(core, 'b');
  claims(core, 'a', claim('s', 1));
  claims(core, 'b', claim('s', 2));
  expect(core.locate('s', CLIENT).map(({ node, epoch }) => [node.id, epoch])).toEqual([
    ['b', 2],
    ['a', 1],
  ]);
  core.heartbeat(beat('b', { sessionsClosed: [{ sessionId: 's' }] }), HOSTER);
  expect(nodesOf(core, 's')).toEqual(['a']);
  const many = Array.from({ length: 9 }, (_, i) => claim(`t${i}`));
  claims(core, 'b', ...many);
  expect(core.nodes.get('b')?.claims.size).toBe(2);
  claims(core, 'a', ...many.slice(5));
  expect(core.sizes().claims).toBe(3);
  const id = refusal('INVALID_ARGUMENT', { field: 'session_id' });
  expect(() => core.locate('no/id', CLIENT)).toThrow(id);
});

test('sessions of two principals with one id have nothing to do with each other', () => {
  const { core } = stand();
  join(core, 'a');
  join(core, 'b');
  claims(core, 'a', claim('s', 1, 'alice'));
  claims(core, 'b', claim('s', 7, 'bob'), claim('t', 1, ''));
  expect(nodesOf(core, 's', 'alice')).toEqual(['a']);
  expect(nodesOf(core, 's', 'bob')).toEqual(['b']);
  // Somebody else's answers as one that nobody has.
  expect(core.locate('s', 'carol')).toEqual(core.locate('none', 'carol'));
  expect(nodesOf(core, 't', '')).toEqual([]);
  // At one node as well: his end does not end hers.
  claims(core, 'b', claim('s', 2, 'alice'));
  const sessionsClosed = [{ sessionId: 's', principal: 'bob' }];
  core.heartbeat(beat('b', { sessionsClosed }), HOSTER);
  expect(nodesOf(core, 's', 'alice')).toEqual(['b', 'a']);
  expect(nodesOf(core, 's', 'bob')).toEqual([]);
});

test('a node where the principal never had a lease is believed last, whatever epoch it says', () => {
  const { core } = stand();
  for (const id of ['a', 'b', 'liar']) join(core, id);
  lease(core, 'a');
  lease(core, 'b');
  claims(core, 'liar', claim('s', Number.MAX_SAFE_INTEGER));
  claims(core, 'a', claim('s', 1));
  claims(core, 'b', claim('s', 2));
  expect(nodesOf(core, 's')).toEqual(['b', 'a', 'liar']);
  // Another principal's lease there proves nothing.
  lease(core, 'liar', 'bob');
  expect(nodesOf(core, 's')).toEqual(['b', 'a', 'liar']);
});

test('an epoch far above those of the others does not win, not even with a lease', () => {
  const { core } = stand();
  for (const id of ['liar', 'a', 'worse']) {
    join(core, id);
    lease(core, id);
  }
  claims(core, 'liar', claim('s', Number.MAX_SAFE_INTEGER - 1));
  claims(core, 'a', claim('s', 3));
  claims(core, 'worse', claim('s', Number.MAX_SAFE_INTEGER));
  expect(nodesOf(core, 's')).toEqual(['a', 'liar', 'worse']);
});

describe('what nodes keep for failovers', () => {
  /** A node with nothing free, and two slots kept for sessions that come from elsewhere. */
  function kept(): ReturnType<typeof stand> {
    const s = stand({ forgetAfterMs: 1000, offlineAfterPeriods: 100, suspectAfterPeriods: 100 });
    join(s.core, 'old', { offers: [offer('n')] });
    join(s.core, 'new', { offers: [offer('m', { capacity: 4 })] });
    const model = { model: 'm', freeSlots: 0, resumeSlots: 2, queueDepth: 0, stepSeconds: 0 };
    const load = { models: [model], openSessions: 2, eventLoopLagSeconds: 0 };
    s.core.heartbeat(beat('new', { load }), HOSTER);
    return s;
  }
  const resume = (core: RouterCore, sessionId: string, principal = CLIENT) =>
    core.acquire(wanted({ resume: true, sessionId }), principal);
  const full = refusal('HOSTER_FULL');

  test('is for sessions that a hoster has told of, of their principal', () => {
    const { core } = kept();
    expect(() => resume(core, 's')).toThrow(full);
    expect(() => resume(core, '')).toThrow(full);
    claims(core, 'old', claim('s', 1, 'alice'));
    expect(resume(core, 's', 'alice').lease.resumes).toBe('s');
    // He is handed out what is full, as one who has less than others, and its hoster decides.
    expect(resume(core, 's', 'bob').lease.resumes).toBeUndefined();
  });

  test('is given to a session once: asking again gives back what it had', () => {
    const { core } = kept();
    claims(core, 'old', claim('s'), claim('t'), claim('u'));
    for (let i = 0; i < 5; i++) resume(core, 's');
    expect(core.sizes().reservations).toBe(1);
    resume(core, 't');
    expect(() => resume(core, 'u')).toThrow(full);
  });

  test('is open for a while to sessions of a hoster that has gone, and then no more', async () => {
    const { core, clock } = kept();
    claims(core, 'old', claim('s'));
    core.deregister('old', 'old-1', HOSTER, 'it stops');
    await clock.advance(2000);
    expect(core.nodes.has('old')).toBe(false);
    const { lease } = resume(core, 's');
    core.release(lease.leaseId);
    await clock.advance(61_000);
    core.heartbeat(beat('new'), HOSTER);
    expect(() => resume(core, 's')).toThrow(full);
  });

  test('a made-up resume is a new session where there is room, and is not refused', () => {
    const { core } = stand();
    join(core, 'a');
    expect(resume(core, 'made-up').node.id).toBe('a');
  });
});
