/** Written anew from docs/authentication.md, so that a change of the format breaks this. */
import crypto from 'node:crypto';
import { failure, incoming, outgoing } from './keys.fixture';
import { AUDIENCE, World, alice, router } from './mac.fixture';

const { method, body } = outgoing();
const digest = crypto.createHash('sha256').update('request').digest('hex');
const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
const text = (...lines: unknown[]): Buffer => Buffer.from(lines.join('\n'));

test('a client of another language agrees on a key and uses it', async () => {
  const world = new World();
  const server = world.server();
  const mine = crypto.generateKeyPairSync('x25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  // The last 32 bytes of its DER are the key.
  const offer = base64url(mine.publicKey.subarray(-32));
  const timestamp = String(world.clock.now());
  const nonce = base64url(crypto.randomBytes(16));
  const signed = text(
    'cabstand-request-offer-v1',
    ...[alice.mine.id, method, AUDIENCE, timestamp, nonce, digest, offer],
  );
  const request = incoming(outgoing({ body }), {
    'cabstand-key-id': alice.mine.id,
    'cabstand-audience': AUDIENCE,
    'cabstand-timestamp': timestamp,
    'cabstand-nonce': nonce,
    'cabstand-mac-offer': offer,
    'cabstand-signature': base64url(crypto.sign(null, signed, alice.mine.key)),
  });
  await server.validateRequest(request);
  const answer = await server.signResponse(request);
  const half = answer['cabstand-response-mac-offer'] ?? '';
  const macKeyId = answer['cabstand-response-mac-key-id'] ?? '';
  const lifetime = answer['cabstand-response-mac-lifetime'] ?? '';
  expect(lifetime).toBe('300000');
  const proven = text(
    'cabstand-response-offer-v1',
    ...[answer['cabstand-response-key-id'], method, nonce],
    ...[answer['cabstand-response-timestamp'], offer, half, macKeyId, lifetime],
  );
  const signature = Buffer.from(answer['cabstand-response-signature'] ?? '', 'base64url');
  expect(crypto.verify(null, proven, router.known.key, signature)).toBe(true);

  // The twelve bytes that say X25519, then the key.
  const der = Buffer.from('302a300506032b656e032100', 'hex');
  const theirs = crypto.createPublicKey({
    key: Buffer.concat([der, Buffer.from(half, 'base64url')]),
    ...{ format: 'der', type: 'spki' },
  });
  const privateKey = crypto.createPrivateKey({
    key: mine.privateKey,
    ...{ format: 'der', type: 'pkcs8' },
  });
  const shared = crypto.diffieHellman({ privateKey, publicKey: theirs });
  const info = text(
    'cabstand-mac-key-v1',
    ...[alice.mine.id, answer['cabstand-response-key-id'], AUDIENCE, offer, half, macKeyId],
  );
  const secret = Buffer.from(crypto.hkdfSync('sha256', shared, Buffer.alloc(32), info, 32));
  const mac = (bytes: Buffer): string =>
    crypto.createHmac('sha256', secret).update(bytes).digest('base64url');
  const again = base64url(crypto.randomBytes(16));
  const later = incoming(outgoing({ body }), {
    'cabstand-mac-key-id': macKeyId,
    'cabstand-audience': AUDIENCE,
    'cabstand-timestamp': timestamp,
    'cabstand-nonce': again,
    'cabstand-mac': mac(
      text('cabstand-request-mac-v1', macKeyId, method, AUDIENCE, timestamp, again, digest),
    ),
  });
  await expect(server.validateRequest(later)).resolves.toMatchObject({ id: 'alice' });
  const proof = await server.signResponse(later);
  expect(proof['cabstand-response-mac']).toBe(
    mac(
      text(
        'cabstand-response-mac-v1',
        ...[macKeyId, method, again, proof['cabstand-response-timestamp']],
      ),
    ),
  );
  // Another name of the same server, which it would take a signature for.
  const name = 'localhost:50050';
  const third = base64url(crypto.randomBytes(16));
  const renamed = incoming(outgoing({ body }), {
    'cabstand-mac-key-id': macKeyId,
    'cabstand-audience': name,
    'cabstand-timestamp': timestamp,
    'cabstand-nonce': third,
    'cabstand-mac': mac(
      text('cabstand-request-mac-v1', macKeyId, method, name, timestamp, third, digest),
    ),
  });
  expect((await failure(() => server.validateRequest(renamed))).reason).toBe('MAC_KEY_UNKNOWN');
  const unknown = await failure(() => world.server().validateRequest(later));
  expect(unknown.reason).toBe('MAC_KEY_UNKNOWN');
});
