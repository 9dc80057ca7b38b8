import { Option } from 'commander';
import type { Command } from 'commander';
import { exportMember } from '@cabstand/auth-admin';
import type { CliContext } from '../../context';
import { required } from '../../arguments';
import { guarded, withFolder } from './shared';
import type { FolderFlags } from './shared';

export function registerExport(keys: Command, context: CliContext): void {
  const command = withFolder(keys.command('export <name>'))
    .summary('Writes the files that one member needs into a folder of its own.')
    .description(
      'Writes the files that one member needs, and no secret of anybody else, into a folder. Files of before are replaced where they differ.',
    );
  required(command, new Option('--to <dir>', 'folder to write; made where there is none'))
    .addHelpText(
      'after',
      '\nExample:\n  $ cabstand keys export hoster-b --out keys --to hoster-b\n' +
        '  $ scp -rp hoster-b 10.0.0.8:cabstand/keys',
    )
    .action((name: string, flags: FolderFlags & { to: string }) =>
      guarded(async () => {
        const files = exportMember({ folder: flags.out, name, to: flags.to });
        await context.terminal.out(
          files.length === 0
            ? `${flags.to} has the newest files of ${name} already\n`
            : files.map((file) => `${file}\n`).join(''),
        );
      }),
    );
}
