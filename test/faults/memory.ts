/**
 * Opens sessions, breaks them in every way that leaves their hoster's memory, ends them, and looks at
 * what is left: nothing may be. `npm run test:memory -- [--sessions N] [--seed N] [--only BREAK]`.
 */
import { parseArgs } from 'node:util';
import type { Session } from '@cabstand/client';
import { drain } from '../support/drain';
import { collecting, compare, settled, told } from './footprint';
import { Random } from './random';
import { leaving } from './leaving';
import { Rig } from './rig';
import { makeScript } from './scripts';
import type { Script } from './scripts';
import { Stream } from './stream';

const AT_ONCE = 20;
/** Sessions of the first round: everything that is made once, compiled code too, has been made after it. */
const WARM = 400;
const TOLD_MS = 10_000;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

type Break = 'none' | 'reset' | 'abandon' | 'kill-engine' | 'live-abandon' | 'hole' | 'export';
const BREAKS: readonly Break[] = [
  ...(['none', 'none', 'none', 'reset', 'abandon', 'live-abandon'] as const),
  ...(['kill-engine', 'hole', 'export'] as const),
];
/** These hit everybody: seldom is enough. */
const FAR_REACHING: ReadonlySet<Break> = new Set<Break>(['kill-engine', 'hole']);
/** Sessions that nobody comes back for end soon, so that it need not be waited for long. */
const LIMITS = { orphan_timeout_seconds: 5, idle_timeout_seconds: 10, journal_records: 48 };
/** Longer than keepalive's patience. */
const HOLE_MS = 4000;

/** Opens, breaks and ends so many sessions. */
async function round(
  rig: Rig,
  count: number,
  random: Random,
  breaks: readonly Break[],
): Promise<void> {
  let left = count;
  const ticker = setInterval(
    () => print(`${String(Math.max(0, left))} of ${String(count)} sessions to go`),
    TOLD_MS,
  );
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const how = random.pick(breaks);
      const rare = FAR_REACHING.has(how) && random.next() > 0.05;
      await one(rig, rare ? 'none' : how, random.int(0, 5));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  clearInterval(ticker);
}

async function one(rig: Rig, how: Break, number: number): Promise<void> {
  const script: Script = makeScript(
    how === 'live-abandon' ? 'accumulator-live' : 'accumulator',
    number,
  );
  const gone = new AbortController();
  const stream = new Stream(
    { ...script, turns: script.turns.slice(0, 2) },
    {
      signal: gone.signal,
      at: async ({ turn, chunks, session }) => {
        if (turn === 1 && chunks === 5) await strike(rig, how, session, gone);
      },
    },
  );
  await stream.run(rig.sessions);
}

async function strike(
  rig: Rig,
  how: Break,
  session: Session,
  gone: AbortController,
): Promise<void> {
  const hoster = rig.hosterOf(session);
  switch (how) {
    case 'none':
      return;
    case 'reset':
      hoster.proxy?.reset();
      return;
    case 'abandon':
    case 'live-abandon':
      gone.abort();
      return;
    case 'kill-engine': {
      const pid = hoster.engine(session.model);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      return;
    }
    case 'hole': {
      const hole = hoster.proxy?.inject({ kind: 'black-hole' }, { direction: 'both' });
      setTimeout(() => hole?.heal(), HOLE_MS);
      return;
    }
    case 'export': {
      const other = rig.sessions.import(session.export());
      if (other.turnPending) await drain(other.continueTurn());
      await other.close();
    }
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sessions: { type: 'string', default: '2000' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string' },
    },
  });
  const random = new Random(Number(values.seed));
  const breaks = BREAKS.filter((one) => values.only === undefined || one === values.only);
  await collecting();
  await using rig = await Rig.start({ hosterConfig: { limits: LIMITS } });
  await round(rig, WARM, random, breaks);
  const before = await settled(rig.hosters);
  await round(rig, Number(values.sessions), random, breaks);
  const after = await settled(rig.hosters);
  const problems = compare(before, after);
  print(`${values.sessions} sessions opened, broken and ended, seed ${values.seed}`);
  for (const line of told(before, after)) print(line);
  for (const problem of problems) print(`LEFT BEHIND: ${problem}`);
  print(problems.length === 0 ? 'PASSED' : 'FAILED');
  process.exitCode = problems.length === 0 ? 0 : 1;
}

leaving(main());
