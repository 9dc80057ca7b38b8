/** Whatever somebody on the way alters of what a MAC covers, nobody takes it. */
import * as fc from 'fast-check';
import type { IncomingRequest, OutgoingRequest } from '@cabstand/rpc';
import { RESPONSE_HEADERS } from './canonical';
import { failure, incoming, metadata, outgoing } from './keys.fixture';
import { World, agree, call, gateway, howOf } from './mac.fixture';
import type { How } from './mac.fixture';

type Headers = Readonly<Record<string, string>>;

const REFUSED = new Set([
  'MAC_KEY_UNKNOWN',
  'KEY_UNKNOWN',
  'CREDENTIALS_MALFORMED',
  'CREDENTIALS_MISSING',
]);
const CHARACTERS = Array.from('abcxyzABCXYZ0123456789-_.:@/ =');

/** Another text than `text`, near it or not. */
const alteration = fc.record({
  what: fc.constantFrom('replace', 'insert', 'delete', 'swap case', 'other', 'drop'),
  at: fc.nat(),
  character: fc.constantFrom(...CHARACTERS),
  other: fc.string({ unit: fc.constantFrom(...CHARACTERS), maxLength: 100 }),
});
type Alteration = typeof alteration extends fc.Arbitrary<infer T> ? T : never;

/** Undefined: the field is taken away. */
function altered(text: string, { what, at, character, other }: Alteration): string | undefined {
  const i = text.length === 0 ? 0 : at % text.length;
  const after = text.slice(i + 1);
  const before = text.slice(0, i);
  const here = text[i] ?? '';
  switch (what) {
    case 'replace':
      return `${before}${character}${after}`;
    case 'insert':
      return `${before}${character}${here}${after}`;
    case 'delete':
      return `${before}${after}`;
    case 'swap case':
      return `${before}${here === here.toLowerCase() ? here.toUpperCase() : here.toLowerCase()}${after}`;
    case 'other':
      return other;
    default:
      return undefined;
  }
}

function withField(headers: Headers, name: string, value: string | undefined): Headers {
  const { [name]: _, ...rest } = headers;
  return value === undefined ? rest : { ...rest, [name]: value };
}

/** A request of a gateway for somebody, as it is proved in the end, and what it was sent with. */
async function sent(world: World, how: How) {
  const [client, server] = [world.client(gateway), world.server()];
  const asking = { request: { onBehalfOf: 'bob' } };
  if (how === 'mac') await agree(client, server, asking);
  if (how === 'offer') await call(client, server, asking);
  const request: OutgoingRequest = outgoing(asking.request);
  const headers = await client.signRequest(request);
  expect(howOf(headers)).toBe(how);
  return { client, server, request, headers };
}

test.each<How>(['signature', 'offer', 'mac'])('of a request proved by %s', async (how) => {
  const world = new World();
  const { server, request, headers } = await sent(world, how);
  const fields = [...Object.keys(headers), 'method', 'body'];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...fields), alteration, async (field, change) => {
      let received: IncomingRequest;
      if (field === 'method' || field === 'body') {
        const before = field === 'method' ? request.method : 'request';
        const after = altered(before, change) ?? '';
        fc.pre(after !== before);
        received = incoming(request, headers, {
          [field]: field === 'method' ? after : Buffer.from(after),
        });
      } else {
        const after = altered(headers[field] ?? '', change);
        fc.pre(after?.trim() !== headers[field]);
        received = incoming(request, withField(headers, field, after));
      }
      const { reason } = await failure(() => server.validateRequest(received));
      expect(REFUSED).toContain(reason);
    }),
    { numRuns: 2000 },
  );
  // None of them has used up the nonce.
  await expect(server.validateRequest(incoming(request, headers))).resolves.toMatchObject({
    id: 'bob',
  });
});

test.each<How>(['offer', 'mac'])('of the answer to a request proved by %s', async (how) => {
  const world = new World();
  const { client, server, request, headers } = await sent(world, how);
  const received = incoming(request, headers);
  await server.validateRequest(received);
  const answer = await server.signResponse(received);
  // That offers are taken is a hint: without it calls are dearer, not less safe.
  const fields = Object.keys(answer).filter((name) => name !== RESPONSE_HEADERS.macs);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...fields), alteration, async (field, change) => {
      const before = answer[field] ?? '';
      const after = altered(before, change);
      fc.pre(after === undefined || (after.trim() !== before && !sameNumber(after, before)));
      const { reason } = await failure(() =>
        client.validateResponse(request, metadata(withField(answer, field, after))),
      );
      expect(reason).toBe('NODE_BAD_REPLY');
    }),
    { numRuns: 2000 },
  );
  await client.validateResponse(request, metadata(answer));
});

/** Another way to write a number is no other answer. */
function sameNumber(a: string, b: string): boolean {
  return /^[0-9]+$/.test(b) && Number(a) === Number(b);
}

test('any headers at all are refused with a reason', async () => {
  const world = new World();
  const { server, request, headers } = await sent(world, 'mac');
  const value = fc.oneof(
    fc.constantFrom(...Object.values(headers)),
    fc.string({ unit: fc.constantFrom(...CHARACTERS), maxLength: 200 }),
  );
  const names = [
    ...Object.keys(headers),
    'cabstand-signature',
    'cabstand-mac-offer',
    'cabstand-key-id',
  ];
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.constantFrom(...names), value), async (given) => {
      fc.pre(Object.keys(headers).some((name) => given[name] !== headers[name]));
      const { class: kind } = await failure(() => server.validateRequest(incoming(request, given)));
      expect(kind).toBe('auth');
    }),
    { numRuns: 2000 },
  );
});
