/** How the cores of one machine are shared among hosters. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

/** A main process is one thread; the engines of a hoster have the others. */
const CORES_A_HOSTER = 4;
/** One that dies leaves another. */
const FEWEST_HOSTERS = 2;
/** Below these a hoster could not compute while its main process does something else: it takes turns with others. */
const FEWEST_OWN_CORES = 2;
const PROC_STATUS = '/proc/self/status';

/** What the hosters of a machine get, one list of cores each; none where they share all. */
export interface CorePlan {
  readonly hosters: number;
  readonly own: readonly (readonly number[])[];
}

/** As many hosters as the cores carry, `most` at most, and the cores that belong to each. */
export function planCores(cores: readonly number[], most: number): CorePlan {
  const fitting = Math.floor(cores.length / CORES_A_HOSTER);
  const hosters = Math.min(most, Math.max(FEWEST_HOSTERS, fitting));
  if (cores.length < hosters * FEWEST_OWN_CORES) return { hosters, own: [] };
  const from = (i: number): number => Math.floor((i * cores.length) / hosters);
  const own = Array.from({ length: hosters }, (_, i) => cores.slice(from(i), from(i + 1)));
  return { hosters, own };
}

/** The cores that this process may use: on Linux by their numbers, elsewhere counted. */
export function allowedCores(status: () => string = readStatus): readonly number[] {
  const list = /^Cpus_allowed_list:\s*([\d,-]+)$/m.exec(status())?.[1];
  if (list === undefined) return Array.from({ length: availableParallelism() }, (_, i) => i);
  return list.split(',').flatMap((part) => {
    const [from = NaN, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

/**
 * The program (and arguments before its own) that runs Node on these cores and no others, with what it starts: `taskset`
 * of util-linux. Node alone where there are none, and where there is no `taskset`: the system places it then.
 */
export function nodeOn(
  cores: readonly number[],
  taskset: string | null = findTaskset(),
): readonly [string, ...string[]] {
  if (cores.length === 0 || taskset === null) return [process.execPath];
  return [taskset, '-c', cores.join(','), process.execPath];
}

function findTaskset(): string | null {
  if (process.platform !== 'linux') return null;
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  return folders.map((folder) => path.join(folder, 'taskset')).find(existsSync) ?? null;
}

function readStatus(): string {
  try {
    return readFileSync(PROC_STATUS, 'utf8');
  } catch {
    return '';
  }
}
