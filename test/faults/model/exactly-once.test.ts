/**
 * The client library and the hoster's core, joined by a network in memory: whatever is lost, sent twice,
 * overtaken, killed, moved or taken over, and in whatever order. CABSTAND_RUNS plays more schedules.
 */
import fc from 'fast-check';
import { schedule, scripts } from './ops';
import { checked } from './promises';
import type { Plan } from './world';

const RUNS = Number(process.env['CABSTAND_RUNS'] ?? 200);
/** A bound for a loaded machine; a run takes a tenth of it on an idle one. */
const MS_PER_RUN = 1500;

const plans: fc.Arbitrary<Plan> = fc.record({
  scripts: fc.integer({ min: 1, max: 2 }).chain(scripts),
  named: fc.boolean(),
  seed: fc.nat(),
  ops: schedule,
});

test(
  'each position comes once, in order and as undisturbed, on any schedule of both sides',
  async () => {
    const fates = new Map<string, number>();
    let recovered = 0;
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const played = await checked(plan);
        recovered += played.recovered;
        for (const fate of played.sessions.flat()) fates.set(fate, (fates.get(fate) ?? 0) + 1);
      }),
      { numRuns: RUNS },
    );
    // A property that holds because nothing happens says nothing.
    expect(recovered).toBeGreaterThan(RUNS / 2);
    expect(fates.get('EPOCH_FENCED')).toBeGreaterThan(RUNS / 100);
    expect(fates.get('left')).toBeGreaterThan(RUNS / 20);
  },
  60_000 + RUNS * MS_PER_RUN,
);
