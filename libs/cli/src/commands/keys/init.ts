import path from 'node:path';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { generateSubnetKeys, memberFiles, subnetMembers, subnetPaths } from '@cabstand/auth-admin';
import type { Role } from '@cabstand/core';
import type { CliContext } from '../../context';
import { list } from '../../arguments';
import { describeFiles, guarded, keepAuthority, nextSteps, withFolder } from './shared';
import type { FolderFlags } from './shared';

interface Hoster {
  readonly name: string;
  readonly hosts: readonly string[];
}

interface InitFlags extends FolderFlags {
  readonly subnet: string;
  readonly host?: readonly string[];
  readonly hoster?: readonly Hoster[];
  readonly force?: true;
}

export function registerInit(keys: Command, context: CliContext): void {
  withFolder(keys.command('init'))
    .description(
      'Makes the keys and certificates of a new subnet: for a router, a client, an administrator, and each hoster.',
    )
    .option('--subnet <name>', 'name of the subnet', 'cabstand')
    .option(
      '--hoster <name[=host,…]>',
      'a hoster, and the names or addresses by which others reach it; several times (default: one, "hoster", for the names of --host)',
      hoster,
    )
    .option(
      '--host <name>',
      'name or address by which others reach the router, for its certificate, several times; localhost is always there',
      list,
    )
    .option('--force', 'replace keys that exist: whoever uses them is locked out')
    .addHelpText(
      'after',
      '\nEach hoster has a key of its own: none can take the place of another.\n' +
        'Names can be added, and members too, whenever they are there: `cabstand keys cert`, `cabstand keys add`.\n' +
        '\nExample:\n  $ cabstand keys init --out keys --host router.example.org \\\n' +
        '      --hoster hoster-a=10.0.0.7 --hoster hoster-b=10.0.0.8,b.example.org',
    )
    .action((flags: InitFlags) => guarded(() => init(context, flags)));
}

async function init(context: CliContext, flags: InitFlags): Promise<void> {
  const { out: folder, hoster: hosters, force, host: hosts = [], subnet } = flags;
  const members = subnetMembers(hosters);
  await generateSubnetKeys({ folder, subnet, hosts, members, overwrite: force === true });
  const filesFor = (name: string, roles: readonly Role[]): string =>
    memberFiles(name, roles, true)
      .map((file) => path.join(folder, file))
      .join(' ');
  const receivers = members.filter(({ roles }) => !roles.includes('admin'));
  await context.terminal.out(
    `${folder} holds the keys of a new subnet:\n${describeFiles(folder, context)}` +
      'Files that are secret can be read by their owner only; keep them out of repositories.\n' +
      nextSteps([
        ...receivers.map(
          ({ name, roles }) =>
            `${roles.includes('client') ? 'To clients' : `To ${name}`}: ${filesFor(name, roles)}`,
        ),
        `\`cabstand keys export NAME --out ${folder} --to DIR\` puts the files of one of them into a folder.`,
        `For each further hoster: \`cabstand keys add NAME --role hoster --host ITS-HOST --out ${folder}\``,
        `Keep ${subnetPaths(folder).key('issuer')} off the servers: \`keys token\` alone needs it.`,
        ...keepAuthority(folder),
      ]),
  );
}

/** `hoster-a`, or `hoster-a=10.0.0.7,a.example.org`; several times. */
function hoster(value: string, before: readonly Hoster[] = []): Hoster[] {
  const [name = '', hosts, ...rest] = value.split('=');
  if (name === '' || hosts === '' || rest.length > 0)
    throw new InvalidArgumentError('Expected NAME or NAME=HOST,HOST such as hoster-a=10.0.0.7.');
  return [...before, { name, hosts: hosts?.split(',') ?? [] }];
}
