import fc from 'fast-check';
import { FakeReader } from '../readers.fixture';
import { Recent } from './recent';
import { Viewer } from './viewer';

type Step =
  | { readonly kind: 'record'; readonly key: boolean }
  | { readonly kind: 'read'; readonly records: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('record' as const), key: fc.boolean() }),
  fc.record({ kind: fc.constant('read' as const), records: fc.integer({ min: 1, max: 4 }) }),
);

test('whoever watches sees records in order, is told how many were left out, and goes on at a key', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 0, max: 10 }),
      fc.integer({ min: 1, max: 5 }),
      (steps, before, limit) => {
        const recent = new Recent(7, limit * 10);
        let position = 7;
        const keys = new Set<number>();
        const give = (key: boolean, watched: boolean): void => {
          if (key) keys.add(position);
          recent.append(
            { position, turn: 0, kind: 'chunk', bytes: Buffer.alloc(10), key },
            watched,
          );
          position++;
        };
        for (let i = 0; i < before; i++) give(i % 4 === 1, false);
        const reader = new FakeReader(2);
        const viewer = new Viewer(reader, recent);
        viewer.pump();
        for (const one of steps) {
          if (one.kind === 'record') {
            give(one.key, true);
            viewer.pump();
          } else {
            reader.room = one.records;
            viewer.resume();
          }
          expect(recent.bytes).toBeLessThanOrEqual(limit * 10);
        }
        reader.room = Infinity;
        viewer.resume();
        give(true, true);
        viewer.pump();

        const seen = reader.positions;
        expect(seen.at(-1)).toBe(position - 1);
        const gaps = seen.slice(1).map((at, i) => at - (seen[i] ?? 0) - 1);
        expect(gaps.every((gap) => gap >= 0)).toBe(true);
        const told = reader.notices.map((notice) => notice.kind === 'skipped' && notice.records);
        expect(told).toEqual(gaps.filter((gap) => gap > 0));
        // Where keys are marked by then, it goes on at one.
        const firstKey = Math.min(...keys);
        seen.forEach((at, i) => {
          const skipped = i > 0 && (gaps[i - 1] ?? 0) > 0;
          if (skipped && firstKey < at) expect(keys.has(at)).toBe(true);
        });
      },
    ),
  );
});
