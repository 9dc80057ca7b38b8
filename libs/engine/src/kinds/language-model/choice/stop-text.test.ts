import fc from 'fast-check';
import { StopScanner } from './stop-text';

const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });

/** What comes of a text in pieces. */
function scan(pieces: readonly string[], stops: readonly string[], include: boolean) {
  const scanner = new StopScanner(stops, include);
  let given = '';
  for (const piece of pieces) {
    const { text, stopped } = scanner.push(piece);
    given += text;
    if (stopped) return { given, stopped };
  }
  return { given: given + scanner.flush(), stopped: false };
}

test('where a text stops does not depend on its pieces, and is where a stop is complete first', () => {
  fc.assert(
    fc.property(
      fc.array(letters, { maxLength: 12 }),
      fc.array(letters, { minLength: 1, maxLength: 3 }),
      fc.boolean(),
      (pieces, stops, include) => {
        const whole = pieces.join('');
        const ends = Array.from({ length: whole.length + 1 }, (_, end) => end);
        const end = ends.find((one) => stops.some((stop) => whole.slice(0, one).endsWith(stop)));
        const longest = Math.max(
          ...stops.filter((stop) => whole.slice(0, end).endsWith(stop)).map(({ length }) => length),
        );
        const expected = end === undefined ? whole : whole.slice(0, include ? end : end - longest);
        const found = scan(pieces, stops, include);
        expect([found.given, found.stopped]).toEqual([expected, end !== undefined]);
        expect(scan(Array.from(whole), stops, include).given).toBe(expected);
      },
    ),
    { numRuns: 1000 },
  );
});

test('no more waits than may begin a stop', () => {
  const scanner = new StopScanner(['END', 'ENOUGH'], false);
  expect(scanner.push('an EN')).toEqual({ text: 'an ', stopped: false });
  expect(scanner.push('EMY E')).toEqual({ text: 'ENEMY ', stopped: false });
  expect(scanner.push('N')).toEqual({ text: '', stopped: false });
  expect(scanner.push('D of it')).toEqual({ text: '', stopped: true });
});
