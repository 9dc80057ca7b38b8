import path from 'node:path';
import type { Command } from 'commander';
import { hasAuthority, subnetPaths } from '@cabstand/auth-admin';
import { CabstandError, ROLES } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import type { CliContext } from '../../context';
import { UsageError } from '../../errors';
import { table } from '../../render/table';
import { DEFAULT_KEYS } from '../../subnet/credentials';
import { keyFiles } from '../../subnet/key-folder';

export interface FolderFlags {
  readonly out: string;
}

export const DAY_MS = 24 * 3600 * 1000;

export function withFolder(command: Command): Command {
  return command.option('--out <dir>', 'folder of the subnet\u2019s keys', DEFAULT_KEYS);
}

export function days(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !(number >= 0) || number > 36_500)
    throw new UsageError(`expected a number of days from 0 to 36500, not "${value}"`);
  return number;
}

export function role(value: string, before: readonly Role[] = []): Role[] {
  const found = ROLES.find((known) => known === value);
  if (found === undefined)
    throw new UsageError(`${value} is no role`, `Roles: ${ROLES.join(', ')}.`);
  return [...before, found];
}

/** `2026-11-28 13:36 UTC`. */
export function moment(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** The files of a folder, each with what it is for. */
export function describeFiles(folder: string, { terminal: { style } }: CliContext): string {
  return table(
    keyFiles(folder).map(({ file, secret, purpose }) => [
      `  ${path.join(folder, file)}`,
      secret ? style.yellow('secret') : 'public',
      purpose,
    ]),
  );
}

/** What is left to do, in this order. */
export function nextSteps(steps: readonly string[]): string {
  return `\nNext:\n${steps.map((step, index) => `  ${index + 1}. ${step}\n`).join('')}`;
}

/** Everybody has to know a new key before it is used. */
export function copyPublicKeys(folder: string): string {
  return (
    `Copy ${subnetPaths(folder).keys} over that of every router, every hoster, and every client that has one.\n` +
    '     They read it again within 5 seconds, without a restart. Whoever uses this very file has it.'
  );
}

export function keepAuthority(folder: string): string[] {
  if (!hasAuthority(folder)) return [];
  const { caKey } = subnetPaths(folder);
  return [
    `Keep ${caKey} off the servers. It may be moved offline; \`keys add\` and \`keys cert\` need it here.`,
  ];
}

/** What the key functions refuse is wrong usage here: nothing has been sent anywhere. */
export async function guarded(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (error instanceof UsageError || !CabstandError.is(error)) throw error;
    throw new UsageError(error.message, hintFor(error.message), error);
  }
}

function hintFor(message: string): string | undefined {
  if (message.includes('exists already'))
    return (
      'What is there can be changed: `cabstand keys add NAME` for a new member, `cabstand keys cert NAME` for names and a new\n' +
      '  end of a certificate, `cabstand keys rotate NAME` for a new key, `cabstand keys rotate seal` for that of checkpoints.'
    );
  if (message.includes('keys.json: there is no such file'))
    return 'Name the folder of the keys with --out DIR, or make one with `cabstand keys init --out DIR`.';
  return undefined;
}
