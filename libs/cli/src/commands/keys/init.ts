import path from 'node:path';
import type { Command } from 'commander';
import { generateSubnetKeys, subnetPaths } from '@cabstand/auth';
import type { CliContext } from '../../context';
import { list } from '../../arguments';
import { describeFiles, guarded, keepAuthority, nextSteps, withFolder } from './shared';
import type { FolderFlags } from './shared';
import { filesOf } from './start';

export function registerInit(keys: Command, context: CliContext): void {
  withFolder(keys.command('init'))
    .description(
      'Makes the keys and certificates of a new subnet: for a router, a hoster, a client and an administrator.',
    )
    .option('--subnet <name>', 'name of the subnet', 'cabstand')
    .option(
      '--host <name>',
      'name or address in the servers\u2019 certificates, several times; localhost is always there',
      list,
    )
    .option('--force', 'replace keys that exist: whoever uses them is locked out')
    .addHelpText(
      'after',
      '\nNames can be added, and members too, whenever they are there: `cabstand keys cert`, `cabstand keys add`.\n' +
        '\nExample:\n  $ cabstand keys init --out keys --host router.example.org --host 10.0.0.7',
    )
    .action((flags: FolderFlags & { subnet: string; host?: string[]; force?: true }) =>
      guarded(async () => {
        const { out: folder } = flags;
        await generateSubnetKeys({
          folder,
          subnet: flags.subnet,
          hosts: flags.host ?? [],
          overwrite: flags.force === true,
        });
        const needs = (name: 'router' | 'hoster' | 'client'): string =>
          filesOf(name, [name], true)
            .map((file) => path.join(folder, file))
            .join(' ');
        await context.terminal.out(
          `${folder} holds the keys of a new subnet:\n${describeFiles(folder, context)}` +
            'Files that are secret can be read by their owner only; keep them out of repositories.\n' +
            nextSteps([
              `To the router: ${needs('router')}`,
              `To the first hoster: ${needs('hoster')}`,
              `For each further one: \`cabstand keys add hoster-b --role hoster --host NAME --out ${folder}\``,
              `To clients: ${needs('client')}`,
              `Keep ${subnetPaths(folder).key('issuer')} off the servers: \`keys token\` alone needs it.`,
              ...keepAuthority(folder),
            ]),
        );
      }),
    );
}
