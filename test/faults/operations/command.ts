import path from 'node:path';
import { Child, REPOSITORY_ROOT } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';

const CLI = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');

/** Calls `cabstand …` as an operator of the subnet. */
export async function ended(
  subnet: Subnet,
  ...args: string[]
): Promise<{ readonly code: number | null; readonly output: string }> {
  const routers = subnet.routerAddresses.join(',');
  const flags = ['--router', routers, '--credentials', subnet.keys];
  await using child = new Child('cabstand', [CLI, ...args, ...flags]);
  const { code } = await child.exited;
  return { code, output: child.output };
}

/** What `cabstand …` prints. Throws where it does not end with 0. */
export async function cabstand(subnet: Subnet, ...args: string[]): Promise<string> {
  const { code, output } = await ended(subnet, ...args);
  if (code !== 0) throw new Error(`cabstand ${args.join(' ')}: ${String(code)}\n${output}`);
  return output;
}
