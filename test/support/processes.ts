import { readFileSync, readdirSync } from 'node:fs';
import type { Subnet } from '@cabstand/testing';

/** Process ids of a process's children, in order. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => parentOf(name) === pid)
    .map(Number)
    .sort((a, b) => a - b);
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in parentheses, may hold anything.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

/** The engines of each hoster of a subnet. */
export function enginesOf(subnet: Subnet): number[][] {
  return subnet.hosters.map(({ child }) => childrenOf(child.pid));
}
