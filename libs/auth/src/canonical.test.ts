import crypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { bodyDigest, requestBytes } from './canonical';
import { parsePrivateKey } from './keys';

interface Vector {
  readonly name: string;
  readonly method: string;
  readonly audience: string;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly nonce: string;
  /** The message in hex; null for a call that streams its requests. */
  readonly body: string | null;
  /** base64url */
  readonly signature: string;
}

/** What clients of all languages are held to. */
const { key, requests } = JSON.parse(
  readFileSync(path.join(__dirname, '../../testing/conformance/signatures.json'), 'utf8'),
) as { readonly key: object; readonly requests: readonly Vector[] };

test.each(requests.map((one): [string, Vector] => [one.name, one]))(
  'the published signature: %s',
  async (_, { method, audience, timestamp, nonce, body, signature }) => {
    const mine = parsePrivateKey(key, 'signatures.json');
    const text = requestBytes({
      keyId: mine.id,
      method,
      audience,
      timestampMs: timestamp,
      nonce,
      body: await bodyDigest(body === null ? undefined : Buffer.from(body, 'hex')),
    });
    expect(crypto.sign(null, text, mine.key).toString('base64url')).toBe(signature);
  },
);
