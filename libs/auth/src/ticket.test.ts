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
