import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import fc from 'fast-check';
import { allowedCores, nodeOn, planCores } from './cores';

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test.each([
  [1, 2, []],
  [2, 2, []],
  [3, 2, []],
  [4, 2, [2, 2]],
  [8, 2, [4, 4]],
  [11, 2, [5, 6]],
  [12, 3, [4, 4, 4]],
  [64, 16, Array<number>(16).fill(4)],
  [256, 32, Array<number>(32).fill(8)],
])('%i cores: %i hosters', (cores, hosters, own) => {
  const plan = planCores(range(cores), 32);
  expect(plan.hosters).toBe(hosters);
  expect(plan.own.map(({ length }) => length)).toEqual(own);
});

test('each core belongs to one hoster, or all share all', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(1023), { minLength: 1 }),
      fc.integer({ min: 2, max: 64 }),
      (cores, most) => {
        const { hosters, own } = planCores(cores, most);
        expect(hosters).toBeLessThanOrEqual(most);
        if (own.length > 0) {
          expect(own).toHaveLength(hosters);
          expect(own.flat()).toEqual(cores);
          expect(Math.min(...own.map(({ length }) => length))).toBeGreaterThanOrEqual(2);
        }
      },
    ),
  );
});

test('cores are those that the process may use', () => {
  const status =
    'Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t0-2,5,7-8\nMems_allowed:\t1\n';
  expect(allowedCores(() => status)).toEqual([0, 1, 2, 5, 7, 8]);
  expect(allowedCores(() => '')).toEqual(range(availableParallelism()));
  expect(allowedCores()).toHaveLength(availableParallelism());
});

test('node runs on them where the system can do it', () => {
  expect(nodeOn([4, 5], '/usr/bin/taskset')).toEqual([
    '/usr/bin/taskset',
    '-c',
    '4,5',
    process.execPath,
  ]);
  expect(nodeOn([], '/usr/bin/taskset')).toEqual([process.execPath]);
  expect(nodeOn([4, 5], null)).toEqual([process.execPath]);
  const [first = 0] = allowedCores();
  const [program, ...before] = nodeOn([first]);
  const { stdout } = spawnSync(
    program,
    [...before, '-p', 'require("node:os").availableParallelism()'],
    { encoding: 'utf8' },
  );
  expect(Number(stdout)).toBe(before.length > 0 ? 1 : availableParallelism());
});
