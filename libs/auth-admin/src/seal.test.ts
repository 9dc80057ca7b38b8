import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { createSealerOf } from '@cabstand/auth';
import type { SealBinding } from '@cabstand/auth';
import { CabstandError, FakeClock } from '@cabstand/core';
import { authConfigSchema } from './config';
import { createSealer } from './seal-create';
import { readSealKeys, rotateSealKey } from './seal-keys';
import { generateSubnetKeys } from './subnet';
import { subnetPaths } from './subnet-files';

const binding: SealBinding = {
  session: 's',
  principal: 'alice',
  model: 'm',
  digest: 'sha256:00',
  position: 7,
};
const body = Buffer.from('state of a session');
const key = (id: string, fill: number, notAfterMs = Infinity, notBeforeMs = 0) => ({
  id,
  secret: createSecretKey(Buffer.alloc(32, fill)),
  notAfterMs,
  notBeforeMs,
});

function problemOf(act: () => unknown): string | undefined {
  try {
    act();
    return 'nothing thrown';
  } catch (error) {
    const { reason, metadata } = CabstandError.from(error);
    expect(reason).toBe('CHECKPOINT_INVALID');
    return metadata.problem;
  }
}

describe('sealed bytes', () => {
  const one = createSealerOf([key('k', 1)]);

  it('open at every holder of the key, and show nothing', () => {
    const sealed = one.seal(binding, body);
    expect(createSealerOf([key('k', 1)]).open(sealed, binding)).toEqual(body);
    expect(one.open(one.seal(binding, new Uint8Array(0)), binding)).toHaveLength(0);
    for (const secret of ['state', 'alice', 'sha256']) expect(sealed.includes(secret)).toBe(false);
    expect(one.seal(binding, body).equals(sealed)).toBe(false);
  });

  it.each([
    [{ session: 't' }, 'other_session'],
    [{ principal: 'bob' }, 'other_principal'],
    [{ model: 'n' }, 'other_model'],
    [{ digest: 'sha256:01' }, 'other_weights'],
    [{ position: 8 }, 'other_position'],
  ])('are refused for anything else: %j', (other, problem) => {
    const sealed = one.seal(binding, body);
    expect(problemOf(() => one.open(sealed, { ...binding, ...other }))).toBe(problem);
  });

  it('are refused with any single bit changed, and cut at any place', () => {
    const sealed = one.seal(binding, body);
    for (let bit = 0; bit < sealed.byteLength * 8; bit++) {
      const damaged = Buffer.from(sealed);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(['malformed', 'unknown_key', 'forged']).toContain(
        problemOf(() => one.open(damaged, binding)),
      );
    }
    for (let length = 0; length < sealed.byteLength; length++)
      expect(['malformed', 'forged', 'unknown_key']).toContain(
        problemOf(() => one.open(sealed.subarray(0, length), binding)),
      );
  });

  it('open under an old key until it is retired', async () => {
    const clock = new FakeClock();
    const before = createSealerOf([key('old', 1)], clock).seal(binding, body);
    const after = createSealerOf([key('old', 1, clock.now() + 1000), key('new', 2)], clock);
    expect(after.open(before, binding)).toEqual(body);
    expect(after.open(after.seal(binding, body), binding)).toEqual(body);
    await clock.advance(1001);
    expect(problemOf(() => after.open(before, binding))).toBe('expired_key');
    expect(problemOf(() => createSealerOf([key('new', 2)]).open(before, binding))).toBe(
      'unknown_key',
    );
    expect(problemOf(() => createSealerOf([key('old', 3)]).open(before, binding))).toBe('forged');
  });
});

describe('the seal key of a subnet', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cabstand-seal-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const config = (more: object = {}) =>
    authConfigSchema.parse({ mode: 'keys', keys: subnetPaths(folder).keys, ...more });

  it('is made with the others, is found beside them, and is the owner’s only', async () => {
    const written = await generateSubnetKeys({ folder });
    const path = subnetPaths(folder).seal;
    expect(written).toContain(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const sealed = createSealer(config()).seal(binding, body);
    expect(createSealer(config({ seal_key: path })).open(sealed, binding)).toEqual(body);
    expect(problemOf(() => createSealer(authConfigSchema.parse({})).open(sealed, binding))).toBe(
      'unknown_key',
    );
  });

  it('rotates without a moment in which one hoster seals what another cannot open', async () => {
    const clock = new FakeClock();
    const path = subnetPaths(folder).seal;
    rotateSealKey({ folder, clock });
    const old = createSealerOf(readSealKeys(path), clock);
    const before = old.seal(binding, body);
    rotateSealKey({ folder, beginsMs: 1000, overlapMs: 1000, clock });
    const restarted = createSealerOf(readSealKeys(path), clock);
    expect(restarted.open(before, binding)).toEqual(body);
    // The other hosters are not restarted yet.
    expect(old.open(restarted.seal(binding, body), binding)).toEqual(body);
    await clock.advance(1000);
    const after = restarted.seal(binding, body);
    expect(problemOf(() => old.open(after, binding))).toBe('unknown_key');
    expect(restarted.open(after, binding)).toEqual(body);
    expect(restarted.open(before, binding)).toEqual(body);
    await clock.advance(1001);
    expect(problemOf(() => restarted.open(before, binding))).toBe('expired_key');
    rotateSealKey({ folder, clock });
    expect(readSealKeys(path)).toHaveLength(2);
  });

  it('is read again by hosters that run, and by those that lack a key at once', async () => {
    const clock = new FakeClock();
    rotateSealKey({ folder, clock });
    const warnings: string[] = [];
    const make = () =>
      createSealer(config(), { clock, onWarning: (message) => warnings.push(message) });
    const [a, b] = [make(), make()];
    const before = a.seal(binding, body);
    rotateSealKey({ folder, beginsMs: 6000, overlapMs: 60_000, clock });
    await clock.advance(5000);
    expect(b.open(a.seal(binding, body), binding)).toEqual(body);
    await clock.advance(1000);
    const after = a.seal(binding, body);
    const [old, young] = readSealKeys(subnetPaths(folder).seal);
    expect(after.toString('latin1')).toContain(young?.id);
    expect(before.toString('latin1')).toContain(old?.id);
    expect(b.open(after, binding)).toEqual(body);
    expect(b.open(before, binding)).toEqual(body);
    // Without a day in between it seals at once; the other one looks as soon as it misses the key.
    rotateSealKey({ folder, beginsMs: 0, clock });
    await clock.advance(4999);
    b.open(before, binding);
    expect(b.open(make().seal(binding, body), binding)).toEqual(body);
    writeFileSync(subnetPaths(folder).seal, '{');
    await clock.advance(5000);
    expect(b.open(a.seal(binding, body), binding)).toEqual(body);
    expect(warnings.join()).toMatch(/seal\.key\.json: not JSON/);
  });

  it('is missed aloud, and a bad file is named without its content', () => {
    const warnings: string[] = [];
    const alone = createSealer(config(), { onWarning: (message) => warnings.push(message) });
    expect(warnings).toHaveLength(1);
    expect(alone.open(alone.seal(binding, body), binding)).toEqual(body);
    const path = join(folder, 'bad.json');
    writeFileSync(path, '{"keys":[{"kty":"oct","kid":"a","k":"secret"}]}');
    expect(() => createSealer(config({ seal_key: path }))).toThrow(/bad\.json keys\.0\.k/);
    writeFileSync(path, 'secret');
    expect(() => readSealKeys(path)).toThrow(/^(?!.*secret).*bad\.json/);
    expect(() => createSealer(config({ seal_key: join(folder, 'none') }))).toThrow(/no such file/);
  });
});

test('a body in pieces is the body in one piece, however large', () => {
  const sealer = createSealerOf([key('one', 1)]);
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.uint8Array(), fc.constantFrom(131_071, 131_072, 131_073, 300_000)), {
        maxLength: 4,
      }),
      (made) => {
        const pieces = made.map((one) => (typeof one === 'number' ? randomBytes(one) : one));
        const opened = sealer.open(sealer.seal(binding, ...pieces), binding);
        expect(opened.equals(Buffer.concat(pieces))).toBe(true);
      },
    ),
    { numRuns: 50 },
  );
});
