/**
 * Runs many short sessions of one module, each of which looks for what those before it left, and looks at the memory
 * of all processes: it must be flat. `npm run test:module-memory -- [--sessions N]`.
 */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { childrenOf, residentBytes } from '../support/processes';
import { moduleRepository } from '../support/module-models';
import { SEARCHER, searched } from '../support/searcher';
import { collecting, compare, settled, told } from './footprint';
import { leaving } from './leaving';
import { Rig } from './rig';

const AT_ONCE = 8;
/** Sessions of the first round: everything that is made once, compiled code too, has been made after it. */
const WARM = 400;
/** Fewer ended sessions are remembered than the first round has: what still grows is none of them. */
const LIMITS = { orphan_timeout_seconds: 5, idle_timeout_seconds: 10, ended_remembered: 200 };
const MIB = 1024 * 1024;
/** Of an engine's resident memory, which says less than a heap in use. */
const SHARE = 0.1;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** So many sessions from a number on; answers what they found. */
async function round(rig: Rig, first: number, count: number): Promise<unknown[]> {
  const found: unknown[] = [];
  let next = first;
  const work = async (): Promise<void> => {
    while (next < first + count) {
      const secrets = await searched(rig.sessions, next++);
      if (!Array.isArray(secrets) || secrets.length > 0) found.push(secrets);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

/** The largest of each hoster's: that of the engine which serves. */
const engines = (rig: Rig): number[] =>
  rig.hosters.map(({ pid }) => Math.max(...childrenOf(pid).map(residentBytes)));

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { sessions: { type: 'string', default: '2000' } } });
  const count = Number(values.sessions);
  const models = moduleRepository({ searcher: SEARCHER });
  await collecting();
  try {
    await using rig = await Rig.start({
      ...{ hosters: 1, routers: 1 },
      hosterConfig: { models, only: ['searcher'], limits: LIMITS },
    });
    const found = await round(rig, 0, WARM);
    const before = await settled(rig.hosters);
    const enginesBefore = engines(rig);
    found.push(...(await round(rig, WARM, count)));
    const after = await settled(rig.hosters);
    const problems = compare(before, after);
    for (const [i, bytes] of engines(rig).entries()) {
      const was = enginesBefore[i] ?? bytes;
      const text = `engine of hoster ${String(i)}: ${(was / MIB).toFixed(1)} MiB before, ${(bytes / MIB).toFixed(1)} after`;
      print(text);
      if (bytes > was * (1 + SHARE)) problems.push(text);
    }
    if (found.length > 0) problems.push(`sessions found ${JSON.stringify(found.slice(0, 3))}`);
    print(`${String(count)} sessions, each looking for those before it`);
    for (const line of told(before, after)) print(line);
    for (const problem of problems) print(`LEFT BEHIND: ${problem}`);
    print(problems.length === 0 ? 'PASSED' : 'FAILED');
    process.exitCode = problems.length === 0 ? 0 : 1;
  } finally {
    rmSync(models, { recursive: true });
  }
}

leaving(main());
