import type { Command } from 'commander';
import type { CliContext } from '../../context';
import { registerCert } from './cert';
import { registerExport } from './export';
import { registerInit } from './init';
import { registerAdd, registerRemove } from './members';
import { registerRetire } from './retire';
import { registerRotate } from './rotate';
import { registerShow } from './show';
import { registerToken } from './token';

/** `cabstand keys`: everything about a subnet's keys and certificates. */
export function registerKeys(program: Command, context: CliContext): void {
  const keys = program
    .command('keys')
    .summary('make, renew, rotate and show the keys and certificates of a subnet')
    .description(
      'Makes what a subnet needs to authenticate everybody: keys, certificates for TLS, tokens. Each command works on a folder and ends with the steps that follow, in their order.',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand keys init --out keys                    for a new subnet
  $ cabstand keys add hoster-b --role hoster --host 10.0.0.7 --out keys
                                                     a key and a certificate for one more hoster
  $ cabstand keys export hoster-b --out keys --to hoster-b
                                                     its files, and nobody else's, in one folder
  $ cabstand keys add alice --role client --out keys
  $ cabstand keys show --out keys                    who has what, until when, and what is due
  $ cabstand keys cert router --out keys             renew a certificate
  $ cabstand keys cert router --host 10.0.0.8 --out keys
                                                     and add a name to it
  $ cabstand keys rotate router --out keys           a new key; the old one is good for a week
  $ cabstand keys retire router --out keys           end the old key now, if nobody uses it
  $ cabstand keys rotate seal --out keys             a new key for checkpoints of sessions
  $ cabstand keys remove alice --out keys            her keys are good no more
  $ cabstand keys token bob --audience 10.0.0.7:50050 --audience 10.0.0.8:50051 --out keys
                                                     for a caller without a key`,
    );
  registerInit(keys, context);
  registerAdd(keys, context);
  registerExport(keys, context);
  registerRemove(keys, context);
  registerCert(keys, context);
  registerRotate(keys, context);
  registerRetire(keys, context);
  registerToken(keys, context);
  registerShow(keys, context);
}
