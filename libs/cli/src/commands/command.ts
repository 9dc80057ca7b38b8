import { CabstandError, toReason } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import type { Command } from 'commander';
import type { CliContext } from '../context';
import { jsonLine } from '../render/json';
import { commandArguments } from '../steer/words';
import type { Connection } from '../subnet/connection';
import { withConnection, withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';

/** `cabstand command`. */
export function registerCommand(program: Command, context: CliContext): void {
  const command = program
    .command('command <session> <name> [arguments...]')
    .summary('tell a running session something')
    .description(
      'Sends a command into a session that runs, waits until it was applied, and prints its result as JSON: one that its module declares, or stop, which every model knows. Arguments are key=value (JSON, or a string), or one JSON object.',
    );
  withSubnetFlags(command)
    .addHelpText(
      'after',
      `
The session has to be of the same principal. A durable one is found through the router; any other needs
--hoster. Whoever reads the session goes on reading, and sees that the command was applied.

Examples:
  $ cabstand command ride-7 stop
  $ cabstand command ride-7 set_prompt prompt="deep blue"
  $ cabstand command ride-7 seed '{"seed": 7}' --hoster 127.0.0.1:50051`,
    )
    .action(async (session: string, name: string, words: string[], flags: SubnetFlags) => {
      const args = JSON.stringify(commandArguments(words));
      const result = await withConnection(context, flags, 'client', async (connection, hoster) => {
        const address = hoster ?? (await locate(connection, session));
        const told = await connection.command(address, session, { name, arguments: args });
        return outcome(told.result, name, address);
      });
      await context.terminal.out(result);
    });
}

/** The hoster of the session. Of several that claim it, the first is the one of the newest epoch. */
async function locate(connection: Connection, session: string): Promise<string> {
  const [address] = await connection.locate(session);
  if (address !== undefined) return address;
  throw new CabstandError('SESSION_UNKNOWN', `no hoster has a session ${session} of yours`, {
    metadata: { session_id: session },
  });
}

/** A line of JSON. Throws what the module answered instead of a result. */
function outcome(
  result: v1.SessionUpdateResponse__Output['result'],
  name: string,
  address: string,
): string {
  if (result === null)
    throw new CabstandError('NODE_BAD_REPLY', `${address} did not tell what became of ${name}`);
  const { error, value } = result;
  if (error)
    throw new CabstandError(toReason(error.reason), error.message, { metadata: error.metadata });
  return value === undefined || value === '' ? jsonLine(null) : `${value}\n`;
}
