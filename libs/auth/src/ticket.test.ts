import { FakeClock } from '@cabstand/core';
import * as fc from 'fast-check';
import { StaticKeySet } from './keys';
import { failure, member } from './keys.fixture';
import { signedTickets, ticketVerifier, unsignedTickets } from './ticket';
import type { Ticket, TicketUse } from './ticket';

const router = member('router-1', { roles: ['router'], uses: ['request', 'ticket'] });
const client = member('client-1');
const keys = new StaticKeySet([router.known, client.known]);
const use: TicketUse = {
  model: 'g2p',
  nodeId: 'node-1',
  incarnation: 'inc-1',
  principal: 'alice',
};

function setup() {
  const clock = new FakeClock();
  const ticket: Ticket = { ...use, leaseId: 'lease-1', expiresMs: clock.now() + 10_000 };
  const verifier = ticketVerifier({ keys, clock });
  const problem = async (text: string, held: TicketUse = use) => {
    const error = await failure(() => verifier.verify(text, held));
    expect(error.reason).toBe('TICKET_INVALID');
    return error.metadata['problem'];
  };
  return { clock, ticket, verifier, problem, signer: signedTickets(router.mine) };
}

test('a ticket comes back as it was signed', () => {
  const { ticket, verifier, signer } = setup();
  expect(verifier.verify(signer.sign(ticket), use)).toEqual(ticket);
});

test('tickets of any names survive the way', () => {
  const { ticket, verifier, signer } = setup();
  const name = fc.string({ minLength: 1, maxLength: 100, unit: 'grapheme' });
  fc.assert(
    fc.property(name, name, name, name, name, (leaseId, model, nodeId, incarnation, principal) => {
      const one = { leaseId, model, nodeId, incarnation, principal, expiresMs: ticket.expiresMs };
      expect(verifier.verify(signer.sign(one), one)).toEqual(one);
    }),
  );
});

test.each<[Partial<TicketUse>, string]>([
  [{ model: 'silero-vad' }, 'other_model'],
  [{ nodeId: 'node-2' }, 'other_node'],
  [{ incarnation: 'inc-2' }, 'other_incarnation'],
  [{ principal: 'bob' }, 'other_principal'],
])('held against %j it is %s', async (changes, expected) => {
  const { ticket, signer, problem } = setup();
  expect(await problem(signer.sign(ticket), { ...use, ...changes })).toBe(expected);
});

test.each([-600_000, 600_000])(
  'a ticket of a router whose clock is %d ms off is as good as any',
  (ms) => {
    const { ticket, signer, verifier } = setup();
    const theirs = { ...ticket, expiresMs: ticket.expiresMs + ms };
    expect(verifier.verify(signer.sign(theirs), use)).toEqual(theirs);
  },
);

test('a forged ticket says so: another’s payload, another’s key, any changed character', async () => {
  const { ticket, signer, problem } = setup();
  const text = signer.sign(ticket);
  const other = signer.sign({ ...ticket, principal: 'bob' });
  const [version, kid, payload] = other.split('~');
  expect(await problem([version, kid, payload, text.split('~')[3]].join('~'))).toBe('forged');
  const impostor = signedTickets({ ...client.mine, id: router.mine.id });
  expect(await problem(impostor.sign(ticket))).toBe('forged');
  await fc.assert(
    fc.asyncProperty(
      fc.nat(text.length - 1),
      fc.constantFrom('A', 'b', '_', '~', ' '),
      async (at, c) => {
        fc.pre(text[at] !== c);
        // Base64url leaves unused bits in a last character; decoding ignores them.
        fc.pre(at !== text.length - 1);
        expect(['forged', 'malformed', 'unknown_key']).toContain(
          await problem(text.slice(0, at) + c + text.slice(at + 1)),
        );
      },
    ),
  );
});

test('a key that is unknown or not for tickets makes none', async () => {
  const { ticket, problem } = setup();
  expect(await problem(signedTickets(member('x').mine).sign(ticket))).toBe('unknown_key');
  expect(await problem(signedTickets(client.mine).sign(ticket))).toBe('unknown_key');
});

test.each(['', 'x', 'v1~a~b', 'v2~a~b~c', 'v1~local~e30~', `v1~a~${'e'.repeat(5000)}~`])(
  'garbage %# is no ticket',
  async (text) => {
    const { problem } = setup();
    expect(['malformed', 'unknown_key']).toContain(await problem(text));
  },
);

describe('tickets that were given at once', () => {
  const several = (ticket: Ticket, count: number): Ticket[] =>
    Array.from({ length: count }, (_, i) => ({ ...ticket, leaseId: `lease-${i}` }));

  test('each comes back as it was signed, also by a hoster that has seen another of them', () => {
    const { ticket, signer } = setup();
    for (const count of [1, 2, 3, 16]) {
      const all = several(ticket, count);
      const fresh = ticketVerifier({ keys });
      const texts = signer.signAll(all);
      expect(texts.map((text) => fresh.verify(text, use))).toEqual(all);
      expect(texts.map((text) => ticketVerifier({ keys }).verify(text, use))).toEqual(all);
    }
  });

  test('what is no part of them is forged, also where another of them was good', async () => {
    const { ticket, signer, verifier, problem } = setup();
    const [one = '', two = ''] = signer.signAll(several(ticket, 2));
    const [mine = ''] = signer.signAll(several({ ...ticket, principal: 'mallory' }, 2));
    verifier.verify(one, use);
    const parts = (text: string): string[] => text.split('~');
    const swap = (text: string, at: number, other: string): string =>
      parts(text)
        .with(at, parts(other)[at] ?? '')
        .join('~');
    // Payload, path and signature of another one.
    expect(await problem(swap(one, 3, mine))).toBe('forged');
    expect(await problem(swap(one, 1, two))).toBe('forged');
    expect(await problem(swap(one, 4, mine))).toBe('forged');
    const impostor = signedTickets({ ...client.mine, id: router.mine.id });
    const [theirs = ''] = impostor.signAll(several(ticket, 2));
    expect(await problem(theirs)).toBe('forged');
    expect(await problem(one.replace('v2~', 'v2~AA'))).toBe('malformed');
    expect(verifier.verify(two, use).leaseId).toBe('lease-1');
  });

  test('a key that is taken away makes none of them good any more', async () => {
    const { ticket, signer } = setup();
    const [one = '', two = ''] = signer.signAll(several(ticket, 2));
    const known = new Map([[router.known.id, router.known]]);
    const verifier = ticketVerifier({ keys: { find: (id) => known.get(id) } });
    verifier.verify(one, use);
    known.delete(router.known.id);
    const error = await failure(() => verifier.verify(two, use));
    expect(error.metadata['problem']).toBe('unknown_key');
  });

  test('an unsigned one is like any', () => {
    const { ticket, clock } = setup();
    const all = several(ticket, 3);
    const local = ticketVerifier({ clock });
    expect(
      unsignedTickets()
        .signAll(all)
        .map((text) => local.verify(text, use)),
    ).toEqual(all);
  });
});

test('unsigned tickets pass where no keys are configured, and only there', async () => {
  const { ticket, problem, signer, clock } = setup();
  const text = unsignedTickets().sign(ticket);
  const local = ticketVerifier({ clock });
  expect(local.verify(text, use)).toEqual(ticket);
  expect(
    (await failure(() => local.verify(text, { ...use, nodeId: 'x' }))).metadata['problem'],
  ).toBe('other_node');
  expect(await problem(text)).toBe('unknown_key');
  expect((await failure(() => local.verify(signer.sign(ticket), use))).reason).toBe(
    'TICKET_INVALID',
  );
});
