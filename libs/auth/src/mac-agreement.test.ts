import { macKeyOf, newHalf } from './mac-agreement';

const PAIRS = 3000;

test('both sides compute the same key, thousands of times while garbage is collected', () => {
  let garbage: string[] = [];
  for (let i = 0; i < PAIRS; i++) {
    const [mine, theirs] = [newHalf(), newHalf()];
    const agreement = { offer: mine.publicKey, answer: theirs.publicKey, macKeyId: 'k' };
    const binding = { callerKeyId: 'a', serverKeyId: 'b', audience: 'x:1', agreement };
    const key = macKeyOf(mine, theirs.publicKey, binding);
    if (!key.equals(macKeyOf(theirs, mine.publicKey, binding))) throw new Error('two keys');
    // Exports of generated keys have never come back from here.
    garbage.push('x'.repeat(i) + String(i));
    if (garbage.length > 50) garbage = [];
  }
}, 60_000);

test('what a key is bound to makes it another', () => {
  const [mine, theirs] = [newHalf(), newHalf()];
  const agreement = { offer: mine.publicKey, answer: theirs.publicKey, macKeyId: 'k' };
  const binding = { callerKeyId: 'a', serverKeyId: 'b', audience: 'x:1', agreement };
  const others = [
    { ...binding, callerKeyId: 'c' },
    { ...binding, serverKeyId: 'c' },
    { ...binding, audience: 'x:2' },
    { ...binding, agreement: { ...agreement, macKeyId: 'l' } },
    { ...binding, agreement: { ...agreement, offer: theirs.publicKey } },
    { ...binding, agreement: { ...agreement, answer: mine.publicKey } },
  ];
  const keys = [binding, ...others].map((one) =>
    macKeyOf(mine, theirs.publicKey, one).toString('hex'),
  );
  expect(new Set(keys).size).toBe(keys.length);
});

test.each([0, 1])('a half that makes the same secret of everything is refused: %d', (first) => {
  const point = Buffer.concat([Buffer.of(first), Buffer.alloc(31)]).toString('base64url');
  const agreement = { offer: point, answer: point, macKeyId: 'k' };
  const binding = { callerKeyId: 'a', serverKeyId: 'b', audience: 'x:1', agreement };
  expect(() => macKeyOf(newHalf(), point, binding)).toThrow();
});
