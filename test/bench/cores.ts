/** Where processes run: all servers on one core, the load on the others. */
import { spawnSync } from 'node:child_process';

/** The first of the cores that this process may use, and the others; undefined without taskset or a second core. */
const cores = divide();

/** Why this machine cannot do it, if so. */
export function noCores(): string | undefined {
  return cores === undefined
    ? 'servers and load need a core each, and taskset (util-linux) to get it'
    : undefined;
}

/** For people: `core 0 (load on 1,2,3)`. */
export function whereServersRun(): string {
  return `core ${cores?.servers ?? ''} (load on ${cores?.others ?? ''})`;
}

/** All threads of a process; what it starts later inherits it. */
export function pin(pid: number, where: 'servers' | 'others'): void {
  if (cores === undefined) throw new Error(noCores());
  const { status, stderr } = spawnSync('taskset', ['-a', '-c', '-p', cores[where], String(pid)]);
  if (status !== 0) throw new Error(`taskset: ${stderr.toString()}`);
}

/** What is started meanwhile runs on the core of the servers. */
export async function onServerCore<T>(start: () => Promise<T>): Promise<T> {
  pin(process.pid, 'servers');
  try {
    return await start();
  } finally {
    pin(process.pid, 'others');
  }
}

function divide(): { readonly servers: string; readonly others: string } | undefined {
  const { error, status, stdout } = spawnSync('taskset', ['-c', '-p', String(process.pid)]);
  if (error !== undefined || status !== 0) return undefined;
  // "pid 1's current affinity list: 0,2-5"
  const list = stdout.toString().split(':').at(-1)?.trim() ?? '';
  const all = list.split(',').flatMap((part) => {
    const [from = NaN, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
  const [first, ...others] = all;
  if (first === undefined || others.length === 0) return undefined;
  return { servers: String(first), others: others.join(',') };
}
