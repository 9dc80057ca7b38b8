import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { readPrivateKey } from '@cabstand/auth';
import { readSealKeys, rotateKey, rotateSealKey, subnetPaths } from '@cabstand/auth-admin';
import type { CliContext } from '../../context';
import { UsageError } from '../../errors';
import { duration } from '../../subnet/key-folder';
import { DAY_MS, copyPublicKeys, days, guarded, moment, nextSteps, withFolder } from './shared';
import type { FolderFlags } from './shared';
import { SERVERS } from './start';

interface RotateFlags extends FolderFlags {
  readonly overlap: number;
  readonly begins?: number;
  readonly force?: true;
}

const DEFAULT_BEGINS_DAYS = 1;

export function registerRotate(keys: Command, context: CliContext): void {
  withFolder(keys.command('rotate <name>'))
    .summary('Gives a member a new key, or the hosters a new seal key.')
    .description(
      'Gives a member of the subnet a new key; the old one stays good for a while. `seal` is the key that seals the checkpoints of sessions, `issuer` the one that signs tokens.',
    )
    .option('--overlap <days>', 'days for which the old key stays good', days, 7)
    .option(
      '--begins <days>',
      `seal: days until the new key is used, time to copy it to every hoster (default: ${DEFAULT_BEGINS_DAYS})`,
      days,
    )
    .option('--force', 'without an overlap: a key was stolen, and whoever uses it may stop')
    .addHelpText(
      'after',
      `
The order counts. A member: keys.json to all machines first, then the new private key to the member.
The seal key: the file to every hoster before the new key begins.

Example:
  $ cabstand keys rotate client --overlap 2 --out keys
  $ cabstand keys rotate seal --out keys`,
    )
    .action((name: string, flags: RotateFlags) =>
      guarded(async () => {
        if (name !== 'seal' && flags.begins !== undefined)
          throw new UsageError('--begins goes with `keys rotate seal`');
        refuseGap(name, flags);
        await context.terminal.out(name === 'seal' ? rotateSeal(flags) : rotateMember(name, flags));
      }),
    );
}

/** Throws a UsageError where old and new key are not good side by side, so that somebody is shut out. */
function refuseGap(name: string, { out: folder, overlap, begins, force }: RotateFlags): void {
  if (force === true) return;
  const stolen = 'Leave it out; or, if the key was stolen, add --force.';
  if (overlap === 0)
    throw new UsageError(
      name === 'seal'
        ? '--overlap 0: sessions whose checkpoints the old key sealed could not go on elsewhere'
        : name === 'issuer'
          ? '--overlap 0: all tokens of the issuer would be good no more'
          : `--overlap 0: ${name} signs with the old key until it has the new one, and would be shut out`,
      stolen,
    );
  if (begins === 0 && existsSync(subnetPaths(folder).seal))
    throw new UsageError(
      '--begins 0: hosters that do not have the file yet could not open what others seal with the new key',
      'Leave it out; or, if all hosters read this very file or the key was stolen, add --force.',
    );
}

function rotateMember(name: string, { out: folder, overlap }: RotateFlags): string {
  rotateKey({ folder, name, overlapMs: overlap * DAY_MS });
  const paths = subnetPaths(folder);
  const { id, roles } = readPrivateKey(paths.key(name));
  const end =
    overlap > 0
      ? `the old one is good for ${duration(overlap)} more, until ${moment(Date.now() + overlap * DAY_MS)}`
      : 'the old one is good no more as soon as servers have this file';
  const refused =
    name !== 'issuer' && SERVERS.some((role) => roles.has(role))
      ? `Who lacks it refuses ${name} once it uses the new key (KEY_UNKNOWN, NODE_BAD_REPLY).`
      : 'A server that lacks it refuses what the new key signed (KEY_UNKNOWN).';
  return (
    `${paths.key(name)} holds the new key ${id}\n${paths.keys} knows both; ${end}\n` +
    nextSteps([
      `${copyPublicKeys(folder)}\n     ${refused}`,
      ...(name === 'issuer'
        ? [
            `Use ${paths.key(name)} where \`cabstand keys token\` is run. Tokens that the old key signed end with it: make them anew.`,
          ]
        : [
            `Then copy ${paths.key(name)} over that of ${name} (mode 0600), and start ${name} again${overlap > 0 ? ' before the old key ends' : ''}.`,
          ]),
      ...(overlap > 0 && name !== 'issuer'
        ? [
            `\`cabstand keys retire ${name} --out ${folder}\` ends the old key sooner, once nobody uses it.`,
          ]
        : []),
      `See \`cabstand keys show --out ${folder}\`: the old key is listed there until it is dropped by a later rotation.`,
    ])
  );
}

function rotateSeal({ out: folder, overlap, begins = DEFAULT_BEGINS_DAYS }: RotateFlags): string {
  rotateSealKey({ folder, overlapMs: overlap * DAY_MS, beginsMs: begins * DAY_MS });
  const { seal } = subnetPaths(folder);
  const keys = readSealKeys(seal);
  const [before, made] = [keys.at(-2), keys.at(-1)];
  if (before === undefined)
    return (
      `${seal} holds the first seal key\n` +
      nextSteps([`Copy ${seal} to every hoster, beside its keys.json (mode 0600), and restart it.`])
    );
  const from = moment(made?.notBeforeMs ?? 0);
  return (
    `${seal} holds the new key ${made?.id ?? ''}: it opens at once, and seals from ${from} on\n` +
    `the old one opens what it sealed until ${moment(before.notAfterMs)}\n` +
    nextSteps([
      `Before ${from}: copy ${seal} over that of every hoster (mode 0600), beside its keys.json.\n` +
        '     They read it again within 5 seconds, without a restart. A hoster that lacks it cannot go on with sessions\n' +
        '     that others have sealed with the new key (CHECKPOINT_INVALID).',
      'Nothing else: the new key begins by itself, and running sessions notice nothing.',
    ])
  );
}
