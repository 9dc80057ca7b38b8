import fc from 'fast-check';
import { Ranking } from './ranking';

it('names what has most, and what has most beside one, whatever changes', () => {
  const change = fc.record({ key: fc.nat(9), weight: fc.nat(6) });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const ranking = new Ranking<number>();
      const model = new Map<number, number>();
      const most = (keys: readonly number[]): number =>
        Math.max(0, ...keys.map((key) => model.get(key) ?? 0));
      for (const { key, weight } of changes) {
        ranking.set(key, weight);
        if (weight > 0) model.set(key, weight);
        else model.delete(key);
        const keys = [...model.keys()];
        expect(keys.map((one) => ranking.weightOf(one))).toEqual([...model.values()]);
        // The first that came, of those that have most.
        expect(ranking.top).toBe(keys.find((one) => model.get(one) === most(keys)));
        for (let beside = 0; beside < 10; beside++) {
          const others = keys.filter((one) => one !== beside);
          const first = others.find((one) => model.get(one) === most(others));
          expect(ranking.topBeside(beside)).toBe(first);
        }
      }
      ranking.clear();
      expect([ranking.top, ranking.weightOf(1)]).toEqual([undefined, 0]);
    }),
  );
});
