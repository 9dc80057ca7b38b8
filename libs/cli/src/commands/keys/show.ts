import type { Command } from 'commander';
import type { CliContext } from '../../context';
import { jsonLine } from '../../render/json';
import { table } from '../../render/table';
import { dueSteps } from '../../subnet/key-due';
import { readFolder } from '../../subnet/key-folder';
import type { KeyFolder } from '../../subnet/key-folder';
import { describeFiles, guarded, nextSteps, withFolder } from './shared';
import type { FolderFlags } from './shared';

export function registerShow(keys: Command, context: CliContext): void {
  withFolder(keys.command('show').alias('list'))
    .description(
      'Says who has which key and certificate, until when they are good, what each file is for, and what is due.',
    )
    .option('--json', 'as one JSON object')
    .addHelpText('after', '\nExample:\n  $ cabstand keys show --out keys')
    .action((flags: FolderFlags & { json?: true }) =>
      guarded(async () => {
        const folder = readFolder(flags.out);
        if (flags.json === true) {
          await context.terminal.out(jsonLine(folder));
          return;
        }
        await context.terminal.out(
          `subnet ${folder.subnet}\n\n${tables(folder, context)}${describeFiles(flags.out, context)}` +
            nextSteps(dueSteps(flags.out, folder, Date.now())),
        );
      }),
    );
}

function tables(folder: KeyFolder, { terminal: { style } }: CliContext): string {
  const head = (...titles: string[]): string[] => titles.map((title) => style.dim(title));
  const good = ({ state, until }: { state: string; until: string }): string =>
    state === 'good'
      ? style.green(until)
      : state === 'early'
        ? style.yellow(until)
        : style.red(until);
  const parts = [
    table([
      head('KEY', 'OF', 'ROLES', 'FOR', 'GOOD'),
      ...folder.keys.map((key) => [
        key.id,
        key.principal,
        key.roles.join(', '),
        key.uses.join(', '),
        good(key),
      ]),
    ]),
  ];
  if (folder.certificates.length > 0)
    parts.push(
      table([
        head('CERTIFICATE', 'GOOD', 'FOR'),
        ...folder.certificates.map((it) => [
          it.name === 'ca' ? 'ca (the authority)' : it.name,
          good(it),
          it.name === 'ca' ? 'signing the others' : it.hosts.join(', ') || 'a client',
        ]),
      ]),
    );
  if (folder.sealKeys.length > 0)
    parts.push(
      table([head('SEAL KEY', 'GOOD'), ...folder.sealKeys.map((it) => [it.id, good(it)])]),
    );
  return parts.map((part) => `${part}\n`).join('');
}
