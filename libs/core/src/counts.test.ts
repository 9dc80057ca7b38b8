import fc from 'fast-check';
import { Counts } from './counts';

test('it counts as a list would, and keeps no key of which there is none', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.boolean()), { maxLength: 60 }),
      (steps) => {
        const counts = new Counts<string>();
        const list: string[] = [];
        for (const [key, add] of steps) {
          if (add) {
            counts.add(key);
            list.push(key);
          } else {
            counts.remove(key);
            if (list.includes(key)) list.splice(list.indexOf(key), 1);
          }
        }
        for (const key of ['a', 'b', 'c'])
          expect(counts.of(key)).toBe(list.filter((one) => one === key).length);
        expect(counts.size).toBe(new Set(list).size);
        expect(new Map(counts.entries()).size).toBe(counts.size);
      },
    ),
  );
});
