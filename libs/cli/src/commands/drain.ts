import type { Command } from 'commander';
import type { CliContext } from '../context';
import { seconds } from '../arguments';
import { withConnection, withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';

interface DrainFlags extends SubnetFlags {
  readonly deadline?: number;
}

/** `cabstand drain`. */
export function registerDrain(program: Command, context: CliContext): void {
  const command = program
    .command('drain <node>')
    .summary('let a hoster finish what it has and take nothing new')
    .description(
      'Asks the router to drain a hoster (admin): it takes no new sessions, and goes when the ones it has have ended.',
    )
    .option(
      '--deadline <time>',
      'how long its sessions may take (default: what the router says)',
      seconds,
    );
  withSubnetFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand drain hoster-1
  $ cabstand drain hoster-1 --deadline 5m && cabstand nodes --watch`,
    )
    .action((node: string, flags: DrainFlags) =>
      withConnection(context, flags, 'admin', async (connection) => {
        const { node: now } = await connection.drain(node, flags.deadline);
        const state = now?.state.replace('NODE_STATE_', '') ?? 'DRAINING';
        await context.terminal.out(`${node} is ${state}\n`);
      }),
    );
}
