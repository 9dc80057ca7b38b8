import type { Command } from 'commander';
import { issueToken } from '@cabstand/auth-admin';
import type { Role } from '@cabstand/core';
import type { CliContext } from '../../context';
import { list } from '../../arguments';
import { UsageError } from '../../errors';
import { DAY_MS, days, guarded, role, withFolder } from './shared';
import type { FolderFlags } from './shared';

export function registerToken(keys: Command, context: CliContext): void {
  withFolder(keys.command('token <subject>'))
    .description(
      'Prints a bearer token (JWT, EdDSA) for a caller without a key, and nothing else. Servers take it at once.',
    )
    .option('--role <role>', 'what it may do: client (default) or admin; several times', role)
    .option('--days <days>', 'how long it is good', days, 1)
    .option('--audience <host:port>', 'server that it is for, as dialled; several times', list)
    .option('--whole-subnet', 'for every server that has auth.subnet_tokens set')
    .addHelpText(
      'after',
      '\nExample:\n  $ CABSTAND_TOKEN=$(cabstand keys token bob --audience localhost:50050 --audience localhost:50051 --out keys) cabstand infer --model g2p --text taxi',
    )
    .action(
      (
        subject: string,
        flags: FolderFlags & {
          role?: Role[];
          days: number;
          audience?: string[];
          wholeSubnet?: true;
        },
      ) =>
        guarded(async () => {
          const { audience: servers, wholeSubnet } = flags;
          if ((servers === undefined) !== (wholeSubnet === true))
            throw new UsageError(
              'a token is for certain servers: give --audience or --whole-subnet, and not both',
              'For example --audience router.example.org:50050 --audience hoster.example.org:50060. Callers that meet hosters unknown before should have a key: `cabstand keys add`.',
            );
          if (wholeSubnet === true)
            context.terminal.note(
              'warning: any hoster that is sent this token can use it everywhere in the subnet until it ends; servers take it only with auth.subnet_tokens: true\n',
            );
          if (flags.days > 1)
            context.terminal.note(
              'warning: servers take at most a day unless auth.max_token_lifetime_seconds says more\n',
            );
          const token = await issueToken({
            folder: flags.out,
            subject,
            audience: servers ?? 'whole-subnet',
            ...(flags.role === undefined ? {} : { roles: flags.role }),
            lifetimeMs: flags.days * DAY_MS,
          });
          await context.terminal.out(`${token}\n`);
        }),
    );
}
