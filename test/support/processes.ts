import { readFileSync, readdirSync } from 'node:fs';
import type { Subnet } from '@cabstand/testing';

/** A process and what it descends from, as /proc tells. */
function parents(): Map<number, number> {
  const result = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      result.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended while the list was read.
    }
  }
  return result;
}

/** Process ids of everything that descends from a process. */
export function descendants(pid: number): number[] {
  const all = parents();
  const found = new Set([pid]);
  for (let grown = true; grown;) {
    grown = false;
    for (const [child, parent] of all)
      if (found.has(parent) && !found.has(child)) {
        found.add(child);
        grown = true;
      }
  }
  found.delete(pid);
  return [...found];
}

/** Process ids of a process's children, in order. */
export function childrenOf(pid: number): number[] {
  return [...parents()]
    .filter(([, parent]) => parent === pid)
    .map(([child]) => child)
    .sort((a, b) => a - b);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

const TICKS_PER_SECOND = 100;

/** User and system time of a process so far, in seconds (proc(5), fields 14 and 15). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** How long its main thread was ready to run and had no core, in seconds so far (/proc/PID/schedstat). */
export function waitedSeconds(pid: number): number {
  const [, waited] = readFileSync(`/proc/${String(pid)}/schedstat`, 'utf8').split(' ');
  return Number(waited) / 1e9;
}

/** What a line of a hoster's log says of which process serves which model; undefined if nothing. */
export function servingIn(
  line: string,
): { readonly model: string; readonly pid: number } | undefined {
  if (!line.includes('"model serves"')) return undefined;
  const { model, engine_pid: pid } = JSON.parse(line) as { model: string; engine_pid: number };
  return { model, pid };
}

/** The engines of each hoster of a subnet that serve models, as their hoster's newest output tells. */
export function enginesOf(subnet: Subnet): number[][] {
  return subnet.hosters.map(({ child }) => {
    const engines = new Map<string, number>();
    for (const line of child.output.split('\n')) {
      const serving = servingIn(line);
      if (serving !== undefined) engines.set(serving.model, serving.pid);
    }
    return [...engines.values()];
  });
}
