import type { Command } from 'commander';
import type { CliContext } from '../context';
import { list } from '../arguments';
import { infoText } from '../render/info';
import { jsonLine } from '../render/json';
import { withConnection, withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';

interface InfoFlags extends SubnetFlags {
  readonly json?: true;
  readonly model?: readonly string[];
}

/** `cabstand info`. */
export function registerInfo(program: Command, context: CliContext): void {
  const command = program
    .command('info')
    .summary('the models of a hoster: inputs, outputs, parameters, limits')
    .description('Asks a hoster (any that is online, or --hoster) for its models and limits.')
    .option('--model <name>', 'only this model', list)
    .option('--json', 'the answer as one JSON object');
  withSubnetFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand info
  $ cabstand info --hoster 127.0.0.1:50051 --model g2p`,
    )
    .action((flags: InfoFlags) =>
      withConnection(context, flags, 'client', async (connection, wanted) => {
        const { address, info } = await connection.anyHoster(wanted, flags.model ?? []);
        await context.terminal.out(
          flags.json === true
            ? jsonLine({ address, ...info })
            : infoText(address, info, context.terminal.style),
        );
      }),
    );
}
