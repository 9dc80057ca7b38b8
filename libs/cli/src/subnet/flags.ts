import type { Command } from 'commander';
import { address, addresses, messageBytes, timeOption } from '../arguments';
import type { CliContext } from '../context';
import { Connection } from './connection';
import { findCredentials, rpcOptions } from './credentials';
import type { CredentialFlags, Purpose } from './credentials';

/** Flags of every command that talks to a subnet. */
export interface SubnetFlags extends CredentialFlags {
  readonly router?: readonly string[];
  readonly hoster?: string;
  readonly timeout: number;
  readonly maxMessageBytes?: number;
}

const DEFAULT_ROUTER = '127.0.0.1:50050';
const DEFAULT_TIMEOUT_MS = 10_000;

/** Adds them; each may come from the environment as well. */
export function withSubnetFlags(command: Command, timeoutMs = DEFAULT_TIMEOUT_MS): Command {
  return withCallFlags(
    withRouter(command).option(
      '--hoster <host:port>',
      'go to this hoster, past the routers (CABSTAND_HOSTER)',
      address,
    ),
    timeoutMs,
  );
}

/** The same for what only routers do. */
export const withRouterFlags = (command: Command): Command =>
  withCallFlags(withRouter(command), DEFAULT_TIMEOUT_MS);

const withRouter = (command: Command): Command =>
  command.option(
    '--router <host:port>',
    `router, several with commas (CABSTAND_ROUTERS; default ${DEFAULT_ROUTER})`,
    addresses,
  );

const withCallFlags = (command: Command, timeoutMs: number): Command =>
  withCredentialFlags(
    command
      .addOption(timeOption('--timeout <time>', 'longest wait for an answer', timeoutMs))
      .option(
        '--max-message-bytes <bytes>',
        'largest message sent or taken; as rpc.max_message_bytes of the hosters (default 16777216)',
        messageBytes,
      ),
  );

function withCredentialFlags(command: Command): Command {
  return command
    .option(
      '--credentials <dir>',
      'folder made by `cabstand keys init` (CABSTAND_CREDENTIALS; default .cabstand/keys)',
    )
    .option(
      '--key <file>',
      'private key to sign with, instead of the one in the folder (CABSTAND_KEY)',
    )
    .option('--token <token>', 'bearer token, instead of a key (CABSTAND_TOKEN)')
    .option('--no-auth', 'without credentials, for a subnet started so')
    .option('--tls', 'use TLS with the certificates in the folder (CABSTAND_TLS=1)');
}

export function routersOf(flags: SubnetFlags, env: NodeJS.ProcessEnv): readonly string[] {
  if (flags.router !== undefined) return flags.router;
  const named = env['CABSTAND_ROUTERS'];
  return named === undefined || named === '' ? [DEFAULT_ROUTER] : addresses(named);
}

export function hosterOf(flags: SubnetFlags, env: NodeJS.ProcessEnv): string | undefined {
  if (flags.hoster !== undefined) return flags.hoster;
  const named = env['CABSTAND_HOSTER'];
  return named === undefined || named === '' ? undefined : address(named);
}

/** Runs with a connection made from the flags, and closes it. */
export async function withConnection<T>(
  context: CliContext,
  flags: SubnetFlags,
  purpose: Purpose,
  use: (connection: Connection, hoster: string | undefined) => Promise<T>,
): Promise<T> {
  const connection = new Connection({
    routers: routersOf(flags, context.env),
    rpc: rpcOptions(findCredentials(flags, context.env, purpose), flags.maxMessageBytes),
    timeoutMs: flags.timeout,
    signal: context.terminal.signal,
  });
  try {
    return await use(connection, hosterOf(flags, context.env));
  } finally {
    connection.close();
  }
}
