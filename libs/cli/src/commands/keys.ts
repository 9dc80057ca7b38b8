import path from 'node:path';
import type { Command } from 'commander';
import {
  addMember,
  generateSubnetKeys,
  issueToken,
  readPrivateKey,
  rotateKey,
  subnetPaths,
} from '@cabstand/auth';
import { CabstandError, ROLES } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import type { CliContext } from '../context';
import { list } from '../arguments';
import { UsageError } from '../errors';
import { duration, keyFiles, readFolder } from '../subnet/key-folder';
import { DEFAULT_KEYS } from '../subnet/credentials';
import { jsonLine } from '../render/json';
import { table } from '../render/table';

interface Flags {
  readonly out: string;
}

/** `cabstand keys`: everything about a subnet's keys. */
export function registerKeys(program: Command, context: CliContext): void {
  const keys = program
    .command('keys')
    .summary('make, rotate and show the keys of a subnet')
    .description('Makes what a subnet needs to authenticate everybody: keys, tokens, certificates.')
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand keys init --out keys                    for a new subnet
  $ cabstand keys add alice --role client --out keys
  $ cabstand keys rotate router --out keys           a new key; the old one is good for a week
  $ cabstand keys token bob --days 7 --out keys      for a caller without a key
  $ cabstand keys show --out keys`,
    );
  registerInit(keys, context);
  registerAdd(keys, context);
  registerRotate(keys, context);
  registerToken(keys, context);
  registerShow(keys, context);
}

function registerInit(keys: Command, context: CliContext): void {
  withFolder(keys.command('init'))
    .description('Makes the keys of a new subnet.')
    .option('--subnet <name>', 'name of the subnet, the audience of its tokens', 'cabstand')
    .option(
      '--host <name>',
      'name or address in the servers\u2019 certificates, several times',
      list,
    )
    .option('--force', 'replace keys that exist: whoever uses them is locked out')
    .addHelpText(
      'after',
      '\nExample:\n  $ cabstand keys init --out keys --host router.example.org --host 10.0.0.7',
    )
    .action((flags: Flags & { subnet: string; host?: string[]; force?: true }) =>
      guarded(async () => {
        await generateSubnetKeys({
          folder: flags.out,
          subnet: flags.subnet,
          hosts: flags.host ?? [],
          overwrite: flags.force === true,
        });
        await context.terminal.out(
          `${flags.out} holds the keys of a new subnet:\n${describe(flags.out, context)}` +
            'Files that are secret can be read by their owner only; keep them out of repositories.\n',
        );
      }),
    );
}

function registerAdd(keys: Command, context: CliContext): void {
  withFolder(keys.command('add <name>'))
    .description('Gives somebody else a key of their own.')
    .requiredOption('--role <role>', `${ROLES.join(', ')}; several times`, role)
    .addHelpText('after', '\nExample:\n  $ cabstand keys add alice --role client --out keys')
    .action((name: string, flags: Flags & { role: Role[] }) =>
      guarded(async () => {
        addMember({ folder: flags.out, name, roles: flags.role });
        await context.terminal.out(
          `${subnetPaths(flags.out).key(name)} is the private key of ${name}; services read keys.json again by themselves\n`,
        );
      }),
    );
}

function registerRotate(keys: Command, context: CliContext): void {
  withFolder(keys.command('rotate <name>'))
    .description('Gives a member of the subnet a new key; the old one stays good for a while.')
    .option('--overlap <days>', 'days for which the old key stays good', days, 7)
    .addHelpText(
      'after',
      `
Services read keys.json again by themselves: copy it to all machines first, then the new private key.

Example:
  $ cabstand keys rotate client --overlap 2 --out keys`,
    )
    .action((name: string, flags: Flags & { overlap: number }) =>
      guarded(async () => {
        rotateKey({ folder: flags.out, name, overlapMs: flags.overlap * DAY_MS });
        const { key, keys: file } = subnetPaths(flags.out);
        await context.terminal.out(
          `${key(name)} holds the new key ${readPrivateKey(key(name)).id}\n` +
            `${file} knows both; the old one is good for ${duration(flags.overlap)} more\n`,
        );
      }),
    );
}

function registerToken(keys: Command, context: CliContext): void {
  withFolder(keys.command('token <subject>'))
    .description('Prints a bearer token (JWT, EdDSA) for a caller without a key.')
    .option('--role <role>', 'what it may do: client (default) or admin; several times', role)
    .option('--days <days>', 'how long it is good', days, 90)
    .addHelpText(
      'after',
      '\nExample:\n  $ CABSTAND_TOKEN=$(cabstand keys token bob --days 1 --out keys) cabstand infer --model g2p --text taxi',
    )
    .action((subject: string, flags: Flags & { role?: Role[]; days: number }) =>
      guarded(async () => {
        const token = await issueToken({
          folder: flags.out,
          subject,
          ...(flags.role === undefined ? {} : { roles: flags.role }),
          lifetimeMs: flags.days * DAY_MS,
        });
        await context.terminal.out(`${token}\n`);
      }),
    );
}

function registerShow(keys: Command, context: CliContext): void {
  withFolder(keys.command('show'))
    .description('Says what each file of the folder is for, and which keys are good until when.')
    .option('--json', 'as one JSON object')
    .addHelpText('after', '\nExample:\n  $ cabstand keys show --out keys')
    .action((flags: Flags & { json?: true }) =>
      guarded(async () => {
        const folder = readFolder(flags.out);
        if (flags.json === true) {
          await context.terminal.out(jsonLine(folder));
          return;
        }
        const { style } = context.terminal;
        const head = ['KEY', 'OF', 'ROLES', 'FOR', 'GOOD'].map((title) => style.dim(title));
        const rows = folder.keys.map((key) => [
          key.id,
          key.principal,
          key.roles.join(', '),
          key.uses.join(', '),
          key.state === 'good' ? style.green(key.until) : style.red(key.until),
        ]);
        await context.terminal.out(
          `subnet ${folder.subnet}\n\n${table([head, ...rows])}\n${describe(flags.out, context)}`,
        );
      }),
    );
}

const DAY_MS = 24 * 3600 * 1000;

function withFolder(command: Command): Command {
  return command.option('--out <dir>', 'folder of the subnet\u2019s keys', DEFAULT_KEYS);
}

function days(value: string): number {
  const number = Number(value);
  if (value.trim() === '' || !(number >= 0) || number > 36_500)
    throw new UsageError(`expected a number of days from 0 to 36500, not "${value}"`);
  return number;
}

function role(value: string, before: readonly Role[] = []): Role[] {
  const found = ROLES.find((known) => known === value);
  if (found === undefined)
    throw new UsageError(`${value} is no role`, `Roles: ${ROLES.join(', ')}.`);
  return [...before, found];
}

function describe(folder: string, context: CliContext): string {
  const { style } = context.terminal;
  return table(
    keyFiles(folder).map(({ file, secret, purpose }) => [
      `  ${path.join(folder, file)}`,
      secret ? style.yellow('secret') : 'public',
      purpose,
    ]),
  );
}

/** What the key functions refuse is wrong usage here: nothing has been sent anywhere. */
async function guarded(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (error instanceof UsageError || !CabstandError.is(error)) throw error;
    const exists = error.message.includes('exists already');
    throw new UsageError(
      error.message,
      exists ? 'To replace one key, use `cabstand keys rotate NAME`.' : undefined,
      error,
    );
  }
}
