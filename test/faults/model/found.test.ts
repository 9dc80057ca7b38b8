/** Schedules in which a promise was once broken, each as small as it could be made. */
import type { Op } from './ops';
import { checked } from './promises';
import type { Script } from './script';

const live = (...parts: number[][]) => ({ live: true, parts });
const plain = (...values: number[]) => ({ live: false, parts: [values] });

test.each<[name: string, scripts: readonly Script[], ops: readonly Op[], seed: number]>([
  [
    'the first opening comes twice',
    [[plain(0), live()]],
    [
      { op: 'read', who: 0, count: 1 },
      { op: 'duplicate', at: 0 },
    ],
    0,
  ],
  [
    'the opening of a session on one stream comes twice',
    [[live()]],
    [
      { op: 'duplicate', at: 0 },
      { op: 'deliver', at: 1, count: 1 },
    ],
    0,
  ],
  [
    'a hoster that goes gives a checkpoint before the first record, and the next one is lost, too',
    [[live()]],
    [
      { op: 'deliver', at: 0, count: 1 },
      { op: 'drain', where: 0, ms: 1 },
      { op: 'flow', count: 1 },
      { op: 'advance', ms: 1 },
      { op: 'flow', count: 2 },
      { op: 'kill', where: 0, ms: 1 },
      { op: 'flow', count: 1 },
      { op: 'advance', ms: 400 },
      { op: 'write', who: 0, count: 1 },
      { op: 'flow', count: 4 },
      { op: 'kill', where: 1, ms: 1 },
    ],
    0,
  ],
  [
    'resumes that were given up arrive after all, their turns do not',
    [[live([0])]],
    [
      { op: 'lose', at: 0 },
      { op: 'flow', count: 1 },
      { op: 'write', who: 0, count: 2 },
      { op: 'flow', count: 4 },
      { op: 'advance', ms: 1100 },
      { op: 'advance', ms: 1100 },
      { op: 'advance', ms: 70_000 },
      { op: 'advance', ms: 11_000 },
    ],
    939_688_954,
  ],
  [
    'a resume that comes twice ends the copy that was left behind, at a hoster that takes nobody',
    [[live(), plain(0)]],
    [
      { op: 'write', who: 0, count: 1 },
      { op: 'flow', count: 4 },
      { op: 'advance', ms: 11_000 },
      { op: 'read', who: 0, count: 2 },
      { op: 'flow', count: 4 },
      { op: 'kill', where: 1, ms: 0 },
      { op: 'flow', count: 3 },
      { op: 'duplicate', at: 0 },
      { op: 'drain', where: 0, ms: 1 },
      { op: 'deliver', at: 1, count: 1 },
      { op: 'flow', count: 2 },
    ],
    0,
  ],
  [
    'an acknowledgement is lost that all that a hoster may keep waits for',
    [[plain(0, 0, 0, 0, 0, 0, 0)]],
    [
      { op: 'read', who: 0, count: 7 },
      { op: 'flow', count: 1 },
      { op: 'step', where: 0, count: 6, late: false },
      { op: 'deliver', at: 0, count: 12 },
      { op: 'lose', at: 1 },
    ],
    0,
  ],
  [
    'a session is fenced off between turns while its next hoster stands ready',
    [[live()], [plain(100), plain(100), plain(100)]],
    [
      { op: 'read', who: 1, count: 1 },
      { op: 'flow', count: 3 },
      { op: 'move', session: 1, how: 'stale' },
      { op: 'drain', where: 0, ms: 1 },
      { op: 'advance', ms: 1 },
      { op: 'kill', where: 1, ms: 1 },
      { op: 'read', who: 2, count: 1 },
      { op: 'flow', count: 3 },
      { op: 'deliver', at: 0, count: 1 },
      { op: 'advance', ms: 1 },
      { op: 'read', who: 1, count: 2 },
      { op: 'flow', count: 4 },
      { op: 'advance', ms: 1100 },
      { op: 'flow', count: 1 },
      { op: 'drain', where: 1, ms: 5000 },
      { op: 'flow', count: 3 },
    ],
    0,
  ],
  [
    'an opening comes once more when its hoster has restarted, and the session begins anew there',
    [[live()], [plain(100, 100, 100, 100, 100), plain(100)]],
    [
      { op: 'lose', at: 0 },
      { op: 'drain', where: 1, ms: 1 },
      { op: 'deliver', at: 0, count: 1 },
      { op: 'read', who: 885, count: 3 },
      { op: 'flow', count: 3 },
      { op: 'step', where: 0, count: 4, late: false },
      { op: 'flow', count: 2 },
      { op: 'flow', count: 5 },
      { op: 'stop', where: 0, ms: 1 },
      { op: 'duplicate', at: 0 },
    ],
    918_953_477,
  ],
  [
    'a hoster has taken all parts that were sent before another process writes the first of them',
    [[plain(0), live([0], [0]), plain(0)]],
    [
      { op: 'read', who: 0, count: 1 },
      { op: 'flow', count: 1 },
      { op: 'write', who: 0, count: 2 },
      { op: 'deliver', at: 0, count: 4 },
      { op: 'read', who: 0, count: 1 },
      { op: 'flow', count: 1 },
      { op: 'flow', count: 2 },
      { op: 'move', session: 0, how: 'detach' },
      { op: 'read', who: 0, count: 1 },
      { op: 'flow', count: 2 },
      { op: 'flow', count: 5 },
    ],
    0,
  ],
])('%s', async (_name, scripts, ops, seed) => {
  await checked({ scripts, named: false, seed, ops });
});

test.each<[name: string, scripts: readonly Script[], ops: readonly Op[]]>([
  [
    'a copy that was left behind where the session was refused is not closed under its name',
    [[live(), plain(0)]],
    [
      { op: 'flow', count: 1 },
      { op: 'duplicate', at: 0 },
      { op: 'write', who: 0, count: 1 },
      { op: 'flow', count: 4 },
      { op: 'flow', count: 3 },
      { op: 'duplicate', at: 0 },
      { op: 'flow', count: 3 },
      { op: 'read', who: 0, count: 2 },
      { op: 'advance', ms: 70_000 },
    ],
  ],
  [
    'nor is it by a process that lets the session go for another one',
    [[plain(0)], [live(), live()]],
    [
      { op: 'flow', count: 1 },
      { op: 'duplicate', at: 0 },
      { op: 'write', who: 201, count: 1 },
      { op: 'flow', count: 3 },
      { op: 'deliver', at: 0, count: 2 },
      { op: 'flow', count: 2 },
      { op: 'deliver', at: 0, count: 2 },
      { op: 'move', session: 303, how: 'detach' },
      { op: 'advance', ms: 11_000 },
    ],
  ],
])('of a session with a name: %s', async (_name, scripts, ops) => {
  await checked({ scripts, named: true, seed: 0, ops });
});
