import { createSealerOf } from '@cabstand/auth';
import { CabstandError, FakeClock } from '@cabstand/core';
import { createSecretKey, randomBytes } from 'node:crypto';
import type { SessionDirectory } from './directory';
import { Shares } from './share';

const keyOf = (id: string) => ({
  ...{ id, secret: createSecretKey(randomBytes(32)) },
  ...{ notBeforeMs: 0, notAfterMs: Infinity },
});

function setup() {
  const clock = new FakeClock();
  const sealer = createSealerOf([keyOf('k')], clock);
  const session = { id: 's', epoch: { counter: 2, owner: '' }, position: 5 };
  const directory = {
    find: (id: string, principal: string) => {
      if (principal === 'alice') return { ...session, id };
      throw new CabstandError('SESSION_UNKNOWN', id);
    },
  };
  const shares = new Shares(sealer, clock, directory as unknown as SessionDirectory);
  return { clock, sealer, session, shares };
}

const problemOf = (run: () => unknown): string | undefined => {
  try {
    run();
  } catch (error) {
    const { reason, metadata } = CabstandError.from(error);
    return reason === 'SHARE_INVALID' ? metadata['problem'] : reason;
  }
  return undefined;
};

test('is good for whoever holds it, until its time is over', async () => {
  const { clock, shares } = setup();
  const { ticket, expiresAtMs } = shares.make('s', 'alice', 2000, '');
  expect(expiresAtMs).toBe(clock.now() + 2000);
  expect(shares.find('s', ticket, 'bob')).toMatchObject({ session: { id: 's' }, leftMs: 2000 });
  await clock.advance(1999);
  expect(shares.find('s', ticket, 'carol').leftMs).toBe(1);
  await clock.advance(1);
  expect(problemOf(() => shares.find('s', ticket, 'bob'))).toBe('expired');
});

test('only the owner makes one, of a session that is there', () => {
  const { shares } = setup();
  expect(problemOf(() => shares.make('s', 'bob', 0, ''))).toBe('SESSION_UNKNOWN');
});

test.each([-1, 999, 86_400_001, 1.5, NaN])('a time of %s ms is refused', (ttlMs) => {
  const { shares } = setup();
  expect(problemOf(() => shares.make('s', 'alice', ttlMs, ''))).toBe('INVALID_ARGUMENT');
});

test('a name that is none is refused before anything is sealed', () => {
  const { shares } = setup();
  expect(problemOf(() => shares.make('s', 'alice', 0, 'b'.repeat(257)))).toBe('INVALID_ARGUMENT');
});

test('is good for nothing but its session and its viewer', () => {
  const { shares, sealer, session } = setup();
  const { ticket } = shares.make('s', 'alice', 0, 'bob');
  const problem = (id: string, given: string, viewer: string) =>
    problemOf(() => shares.find(id, given, viewer));
  expect(problem('s', ticket, 'bob')).toBeUndefined();
  expect(problem('s', ticket, 'carol')).toBe('other_principal');
  expect(problem('t', ticket, 'bob')).toBe('other_session');
  const at = ticket.length - 6;
  const changed = ticket.slice(0, at) + (ticket[at] === 'A' ? 'B' : 'A') + ticket.slice(at + 1);
  expect(problem('s', changed, 'bob')).toBe('forged');
  expect(problem('s', 'nothing', 'bob')).toBe('malformed');
  expect(problem('s', setup().shares.make('s', 'alice', 0, '').ticket, 'bob')).toBe('forged');
  // A checkpoint of the same session is no ticket.
  const binding = { session: 's', principal: '', model: 'm', digest: '', position: 0 };
  const sealed = sealer.seal(binding, Buffer.from('{}')).toString('base64url');
  expect(problem('s', sealed, 'bob')).toBe('malformed');
  // One that was begun anew under its name.
  session.position = 0;
  expect(problem('s', ticket, 'bob')).toBe('other_session');
});

test('is no checkpoint', () => {
  const { shares, sealer } = setup();
  const { ticket } = shares.make('s', 'alice', 0, '');
  const binding = { session: 's', principal: '', model: 'm', digest: '', position: 0 };
  expect(() => sealer.open(Buffer.from(ticket, 'base64url'), binding)).toThrow(/another model/);
});
