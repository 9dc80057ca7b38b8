import path from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { addMember, memberFiles, removeMember, subnetPaths } from '@cabstand/auth-admin';
import type { AddedMember } from '@cabstand/auth-admin';
import { ROLES } from '@cabstand/core';
import type { Role } from '@cabstand/core';
import type { CliContext } from '../../context';
import { UsageError } from '../../errors';
import { readFolder } from '../../subnet/key-folder';
import { list, required } from '../../arguments';
import { copyPublicKeys, guarded, keepAuthority, nextSteps, role, withFolder } from './shared';
import type { FolderFlags } from './shared';
import { startLines } from './start';

export function registerAdd(keys: Command, context: CliContext): void {
  const command = withFolder(keys.command('add <name>')).description(
    'Gives somebody else a key and a TLS certificate of their own. What is there already is left as it is.',
  );
  required(
    command,
    new Option('--role <role>', `${ROLES.join(', ')}; several times`).argParser(role),
  )
    .option(
      '--host <name>',
      'name or address by which others reach it, for its certificate; several times',
      list,
    )
    .addHelpText(
      'after',
      '\nThe certificate is signed with tls/ca.key of the folder. Where that is kept elsewhere only the key is made;\n' +
        '`cabstand keys cert NAME` makes the certificate later.\n' +
        '\nExample:\n  $ cabstand keys add hoster-b --role hoster --host 10.0.0.7 --out keys\n' +
        '  $ cabstand keys add alice --role client --out keys\n' +
        '  $ cabstand keys add gateway --role gateway --host gateway.example.org --out keys',
    )
    .action((name: string, flags: FolderFlags & { role: Role[]; host?: string[] }) =>
      guarded(async () => {
        const { out: folder, role: roles, host: hosts = [] } = flags;
        const added = await addMember({ folder, name, roles, hosts });
        const certificate = added.certificate !== 'no_authority';
        await context.terminal.out(
          told(folder, name, added) +
            nextSteps([
              copyPublicKeys(folder),
              `Copy to ${name}, into a folder of its own (secrets with mode 0600: scp -p, rsync -p):\n` +
                `     ${memberFiles(name, roles, certificate)
                  .map((file) => path.join(folder, file))
                  .join(' ')}\n` +
                `     \`cabstand keys export ${name} --out ${folder} --to DIR\` puts them together.`,
              `${roles.some((one) => one !== 'client' && one !== 'admin') ? 'Start it there' : 'Try it there'}:\n${startLines(
                folder,
                name,
                roles,
                hosts[0],
              )
                .map((line) => `       ${line}`)
                .join('\n')}`,
              ...keepAuthority(folder),
            ]),
        );
      }),
    );
}

function told(folder: string, name: string, { key, certificate }: AddedMember): string {
  const paths = subnetPaths(folder);
  const keyLine =
    key === 'made'
      ? `${paths.key(name)} is the private key of ${name}\n`
      : `${name} has a key already; it was left as it is\n`;
  switch (certificate) {
    case 'made':
      return `${keyLine}${paths.cert(name)} is its TLS certificate, ${paths.certKey(name)} the key of that\n`;
    case 'there':
      return `${keyLine}${paths.cert(name)} is there already\n`;
    case 'no_authority':
      return (
        `${keyLine}It has no TLS certificate: ${paths.caKey}, which signs it, is not here.\n` +
        `Bring that back and run \`cabstand keys cert ${name} --out ${folder}\`, or serve without TLS.\n`
      );
  }
}

export function registerRemove(keys: Command, context: CliContext): void {
  withFolder(keys.command('remove <name>'))
    .description('Takes a member out of the subnet: its keys are good no more.')
    .option('--force', 'also the last router, hoster or administrator')
    .addHelpText('after', '\nExample:\n  $ cabstand keys remove alice --out keys')
    .action((name: string, flags: FolderFlags & { readonly force?: true }) =>
      guarded(async () => {
        const { out: folder } = flags;
        if (flags.force !== true) refuseLast(folder, name);
        const files = removeMember({ folder, name });
        await context.terminal.out(
          `${name} is not in ${subnetPaths(folder).keys} any more\n` +
            files.map((file) => `deleted ${file}\n`).join('') +
            nextSteps([
              `${copyPublicKeys(folder)}\n     Until then its key is good there.`,
              `Where ${name} had a token of the issuer (\`cabstand keys token\`): that is good until its own end, or until\n` +
                `     \`cabstand keys rotate issuer --overlap 0 --force --out ${folder}\` ends all of them.`,
              'Its TLS certificate is good until its own end, too. It opens connections only: each call is authenticated by key or token.',
            ]),
        );
      }),
    );
}

/** What a subnet cannot do without. */
const NEEDED: readonly Role[] = ['router', 'hoster', 'admin'];

/** Throws a UsageError where nobody else has a role that is needed. */
function refuseLast(folder: string, name: string): void {
  const good = readFolder(folder).keys.filter(
    ({ state, uses }) => state === 'good' && uses.includes('request'),
  );
  const only = NEEDED.find((role) => {
    const holders = new Set(
      good.filter(({ roles }) => roles.includes(role)).map(({ principal }) => principal),
    );
    return holders.has(name) && holders.size === 1;
  });
  if (only !== undefined)
    throw new UsageError(
      `${name} is the only ${only} of the subnet: without its key there is none`,
      `Add another first: \`cabstand keys add NAME --role ${only} --out ${folder}\`; or add --force.`,
    );
}
