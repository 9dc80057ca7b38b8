import { spawn } from 'node:child_process';
import { openSync, closeSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT, freePorts, until } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';

const LONGEST_MS = 25_000;

export interface Ran {
  readonly code: number | null;
  /** Both outputs. */
  readonly output: string;
}

export interface RunOptions {
  /** Send standard output here instead. */
  readonly stdout?: string;
  /** Tried until it succeeds while the process runs, which is then told to stop. */
  readonly whileRunning?: () => Promise<void>;
}

/** Runs a command to its end. */
export async function run(
  command: readonly string[],
  { stdout, whileRunning }: RunOptions = {},
): Promise<Ran> {
  const [program = '', ...args] = command;
  const out = stdout === undefined ? 'pipe' : openSync(stdout, 'w');
  const child = spawn(program, args, { stdio: ['ignore', out, 'pipe'] });
  if (typeof out === 'number') closeSync(out);
  const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (whileRunning !== undefined) {
    const tried = until('the process to do its work', async () => {
      await whileRunning();
      return true;
    });
    await Promise.race([tried, closed]);
    child.kill('SIGTERM');
  }
  const code = await closed;
  clearTimeout(timer);
  return { code, output };
}

/** A service's process with the settings of the subnet's first one, other ports, and these changes. */
export async function serviceAgain(
  subnet: Subnet,
  kind: 'router' | 'hoster',
  settings: object,
): Promise<string[]> {
  const first = readFileSync(path.join(subnet.folder, `${kind}-0.yaml`), 'utf8');
  const [port, admin] = await freePorts(2);
  const file = path.join(subnet.folder, `again-${String(port)}.yaml`);
  const config = {
    ...(JSON.parse(first) as object),
    listen: `127.0.0.1:${String(port)}`,
    admin: { listen: `127.0.0.1:${String(admin)}` },
    ...settings,
  };
  writeFileSync(file, JSON.stringify(config));
  const main = path.join(REPOSITORY_ROOT, 'services', kind, 'dist/main.js');
  return [process.execPath, main, '--config', file];
}
