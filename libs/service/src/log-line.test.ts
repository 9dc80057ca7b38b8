import fc from 'fast-check';
import { LONGEST_LINE, shortLine } from './log-line';

const bytes = (text: string): number => Buffer.byteLength(text);

test('a line that fits stays as it is', () => {
  const line = `${JSON.stringify({ level: 'info', msg: 'x'.repeat(4_000) })}\n`;
  expect(shortLine(line)).toBe(line);
});

test('a long value is cut where it is, and says how long it was', () => {
  const line = { level: 'info', peer: 'p', message: 'é'.repeat(100_000), msg: 'call refused' };
  const short = shortLine(`${JSON.stringify(line)}\n`);
  expect(bytes(short)).toBeLessThanOrEqual(LONGEST_LINE);
  expect(JSON.parse(short)).toMatchObject({
    ...{ level: 'info', peer: 'p', msg: 'call refused' },
    message: expect.stringMatching(/^é{200,}… \(100000 characters\)$/) as string,
  });
});

test('whatever is logged, its line is JSON, ends, fits and keeps level and message', () => {
  const long = fc
    .tuple(fc.string({ unit: 'binary', maxLength: 20 }), fc.nat(3_000))
    .map(([text, times]) => text.repeat(times));
  const value = fc.oneof(
    long,
    fc.jsonValue(),
    fc.array(fc.string(), { minLength: 500, maxLength: 1_000 }),
    fc.nat(3_000).map((depth) => nested(depth)),
    fc.dictionary(long, fc.integer(), { maxKeys: 5 }),
  );
  fc.assert(
    fc.property(fc.array(value, { maxLength: 10 }), long, (facts, msg) => {
      const line = { level: 'info', facts, ...Object.fromEntries(facts.entries()), msg };
      const short = shortLine(`${JSON.stringify(line)}\n`);
      expect(bytes(short)).toBeLessThanOrEqual(LONGEST_LINE);
      expect(short.indexOf('\n')).toBe(short.length - 1);
      const read = JSON.parse(short) as { level: string; msg: string };
      expect(read.level).toBe('info');
      expect(read.msg.slice(0, 10)).toBe(msg.slice(0, 10));
    }),
  );
});

function nested(depth: number): unknown {
  let value: unknown = 'inside';
  for (let level = 0; level < depth; level++) value = { value };
  return value;
}
