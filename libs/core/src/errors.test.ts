import { CabstandError, invalid, show } from './errors';
import { BARE_STATUS, Code, REASONS } from './reasons';
import { backoffDelay } from './backoff';
import { BoundedMap } from './bounded';

test('every gRPC code has a meaning when it comes without details', () => {
  expect(Object.keys(BARE_STATUS).sort()).toEqual(Object.keys(Code).sort());
});

test('a bare RESOURCE_EXHAUSTED is the caller’s: the message was too large', () => {
  expect(REASONS[BARE_STATUS.RESOURCE_EXHAUSTED].class).toBe('caller');
});

test('no reason of class caller maps to a code that clients retry by themselves', () => {
  const retried = new Set(['UNAVAILABLE', 'ABORTED']);
  const wrong = Object.entries(REASONS).filter(
    ([, r]) => r.class === 'caller' && retried.has(r.code),
  );
  expect(wrong).toEqual([]);
});

test('bad input names the field, the value and what was expected', () => {
  const error = invalid('INPUT_RANK', 'audio', [1, 2], 'rank 1');
  expect(error.message).toBe('audio: got [1,2], expected rank 1');
  expect(error.metadata).toEqual({ field: 'audio', value: '[1,2]', expected: 'rank 1' });
});

test('long values are shortened in messages', () => {
  expect(show('x'.repeat(1e6)).length).toBeLessThan(130);
});

test('anything thrown becomes one error type, errors of another copy included', () => {
  const foreign = { [Symbol.for('cabstand.CabstandError')]: true, reason: 'DRAINING' };
  expect(CabstandError.from(foreign)).toBe(foreign);
  expect(CabstandError.from(new Error('x')).reason).toBe('INTERNAL');
  expect(CabstandError.from('x', 'NODE_BAD_REPLY').reason).toBe('NODE_BAD_REPLY');
  expect(CabstandError.from(new DOMException('x', 'AbortError')).reason).toBe('CANCELLED');
});

test('backoff draws between zero and a growing, capped ceiling', () => {
  const options = { initialMs: 100, maxMs: 1000, random: () => 0.999999 };
  expect([0, 1, 2, 3, 4, 50].map((n) => Math.round(backoffDelay(n, options)))).toEqual([
    100, 200, 400, 800, 1000, 1000,
  ]);
  expect(backoffDelay(9, { random: () => 0 })).toBe(0);
});

test('a bounded map forgets what was set longest ago', () => {
  const evicted: string[] = [];
  const map = new BoundedMap<string, number>(2, (key) => evicted.push(key));
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  map.set('c', 4);
  expect(evicted).toEqual(['b']);
  expect([map.get('a'), map.has('b'), map.get('c'), map.size]).toEqual([3, false, 4, 2]);
});
