import type { Command } from 'commander';
import { renewCertificate, subnetPaths } from '@cabstand/auth-admin';
import { UsageError } from '../../errors';
import type { CliContext } from '../../context';
import { list } from '../../arguments';
import { DAY_MS, days, guarded, keepAuthority, moment, nextSteps, withFolder } from './shared';
import type { FolderFlags } from './shared';

export function registerCert(keys: Command, context: CliContext): void {
  withFolder(keys.command('cert <name>'))
    .summary('Renews a member\u2019s TLS certificate, or adds names to it.')
    .description(
      'Makes a new TLS certificate for a member, for all names of the one before. That one stays good until its own end.',
    )
    .option('--host <name>', 'a name or address to add; several times', list)
    .option('--days <days>', 'how long it is good', days, 365)
    .addHelpText(
      'after',
      '\nIt is signed with tls/ca.key of the folder; where that is kept elsewhere, bring it back for this.\n' +
        '\nExample:\n  $ cabstand keys cert hoster-b --out keys                    a year more\n' +
        '  $ cabstand keys cert router --host router.example.org --host 10.0.0.8 --out keys',
    )
    .action((name: string, flags: FolderFlags & { host?: string[]; days: number }) =>
      guarded(async () => {
        const { out: folder } = flags;
        if (flags.days === 0)
          throw new UsageError(
            'a certificate is good for more than no time',
            'Give --days, 1 or more.',
          );
        const { hosts, notAfterMs } = await renewCertificate({
          folder,
          name,
          hosts: flags.host ?? [],
          lifetimeMs: flags.days * DAY_MS,
        });
        const paths = subnetPaths(folder);
        await context.terminal.out(
          `${paths.cert(name)} is good until ${moment(notAfterMs)}` +
            `${hosts.length === 0 ? '' : `, for ${hosts.join(', ')}`}\n` +
            nextSteps([
              `Copy ${paths.cert(name)} and ${paths.certKey(name)}, both, over those of ${name} (mode 0600 for the key).`,
              `Nothing else: ${name} reads them again within seconds, and says so in its log if it cannot use them.`,
              ...keepAuthority(folder),
            ]),
        );
      }),
    );
}
