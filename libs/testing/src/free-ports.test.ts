import { freePortRange, freePorts } from './free-ports';

test('a port is not given twice, though nobody listens on it yet', async () => {
  const given = await Promise.all(Array.from({ length: 300 }, () => freePorts(2)));
  const ranges = await Promise.all(Array.from({ length: 100 }, () => freePortRange(4)));
  const all = [...given.flat(), ...ranges.flatMap((first) => [0, 1, 2, 3].map((i) => first + i))];
  expect(new Set(all).size).toBe(1000);
  for (const port of all) expect(port).toBeLessThan(32_768);
});
