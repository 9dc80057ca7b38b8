import fc from 'fast-check';
import { ReplayLog } from './replay-log';
import type { Placed } from './replay-log';

interface Entry extends Placed {
  readonly kind: 'part' | 'command' | 'value';
  readonly number: number;
}

type Step =
  | { readonly kind: 'append'; readonly ahead: number; readonly bytes: number }
  | { readonly kind: 'skip' }
  | { readonly kind: 'covered'; readonly back: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      ahead: fc.nat(2),
      bytes: fc.nat(9),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'skip' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('covered' as const), back: fc.nat(12) }) },
);

test('it has the newest entries that no checkpoint covers, all of them where that is within its limits', () => {
  let incomplete = 0;
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 0, max: 40 }),
      fc.array(step, { maxLength: 60 }),
      (items, bytes, steps) => {
        const log = new ReplayLog<Entry>({ items, bytes });
        /** Everything since the checkpoint; `lost` as soon as it cannot be in the log any more. */
        let all: { readonly entry: Entry | undefined; readonly position: number; lost: boolean }[] =
          [];
        let position = 0;
        let number = 0;
        for (const one of steps) {
          if (one.kind === 'append') {
            position += one.ahead;
            const entry = { kind: 'part' as const, number: number++, position, bytes: one.bytes };
            all.push({ entry, position, lost: false });
            let left = 0;
            let leftBytes = 0;
            for (const known of [...all].reverse()) {
              if (known.entry === undefined || known.lost) continue;
              left++;
              leftBytes += known.entry.bytes;
              if (left > items || leftBytes > bytes) known.lost = true;
            }
            log.append(entry);
          } else if (one.kind === 'skip') {
            all.push({ entry: undefined, position, lost: true });
            log.skip(position);
          } else {
            const at = position - one.back + 3;
            const covered = all.filter((known) => known.position < at && !known.lost);
            expect(log.covered(at)).toEqual(covered.at(-1)?.entry);
            all = all.filter((known) => known.position >= at);
          }
          const here = all.filter(({ lost }) => !lost).map(({ entry }) => entry);
          expect(log.since()).toEqual(here);
          expect(log.complete).toBe(all.every(({ lost }) => !lost));
          if (!log.complete) incomplete++;
          expect(log.length).toBe(here.length);
          expect(log.bytes).toBe(here.reduce((sum, entry) => sum + (entry?.bytes ?? 0), 0));
          expect(log.length).toBeLessThanOrEqual(items);
          expect(log.roomBytes).toBe(bytes - log.bytes);
        }
      },
    ),
    { numRuns: 300 },
  );
  expect(incomplete).toBeGreaterThan(100);
});

test('what is given up is missed until a checkpoint covers it', () => {
  const log = new ReplayLog<Entry>();
  for (let number = 0; number < 4; number++)
    log.append({ kind: 'command', number, position: 2 * number, bytes: 1 });
  log.giveUp(({ number }) => number < 2);
  expect([log.length, log.complete]).toEqual([2, false]);
  log.covered(2);
  expect(log.complete).toBe(false);
  log.covered(3);
  expect([log.since().map(({ number }) => number), log.complete]).toEqual([[2, 3], true]);
});
