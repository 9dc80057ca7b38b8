import type { Command } from 'commander';
import { issueToken } from '@cabstand/auth';
import type { Role } from '@cabstand/core';
import type { CliContext } from '../../context';
import { DAY_MS, days, guarded, role, withFolder } from './shared';
import type { FolderFlags } from './shared';

export function registerToken(keys: Command, context: CliContext): void {
  withFolder(keys.command('token <subject>'))
    .description(
      'Prints a bearer token (JWT, EdDSA) for a caller without a key, and nothing else. Servers take it at once.',
    )
    .option('--role <role>', 'what it may do: client (default) or admin; several times', role)
    .option('--days <days>', 'how long it is good', days, 90)
    .addHelpText(
      'after',
      '\nExample:\n  $ CABSTAND_TOKEN=$(cabstand keys token bob --days 1 --out keys) cabstand infer --model g2p --text taxi',
    )
    .action((subject: string, flags: FolderFlags & { role?: Role[]; days: number }) =>
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
