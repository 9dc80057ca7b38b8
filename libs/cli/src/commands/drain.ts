import { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import type { Command } from 'commander';
import type { CliContext } from '../context';
import { isUnreachable } from '../subnet/connection';
import type { Connection } from '../subnet/connection';
import { seconds } from '../arguments';
import { withConnection, withRouterFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';

interface DrainFlags extends SubnetFlags {
  readonly deadline?: number;
  readonly wait?: true;
}

type Node = v1.NodeInfo__Output;

/** `cabstand drain`. */
export function registerDrain(program: Command, context: CliContext): void {
  const command = program
    .command('drain <node>')
    .summary('let a hoster finish what it has, then end')
    .description(
      'Asks the router to drain a hoster (admin): it takes no new sessions and asks those it has to move. When the last one has moved or ended, at the latest at the deadline, its process ends with exit code 0. Until then `cabstand undrain` takes it back.',
    )
    .option(
      '--deadline <time>',
      'how long its sessions may take (default: what the router says)',
      seconds,
    )
    .option('--wait', 'end when the hoster has left the subnet; shows how many sessions are left');
  withRouterFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand drain hoster-1 --wait
  $ cabstand drain hoster-1 --deadline 5m && cabstand nodes --watch`,
    )
    .action((node: string, flags: DrainFlags) =>
      withConnection(context, flags, 'admin', async (connection) => {
        const { node: now } = await connection.drain(node, flags.deadline);
        if (now === null) throw noAnswer(node);
        await context.terminal.out(`${describe(now)}\n`);
        if (flags.wait === true) await untilGone(context, connection, now);
      }),
    );
}

/** `cabstand undrain`. */
export function registerUndrain(program: Command, context: CliContext): void {
  const command = program
    .command('undrain <node>')
    .summary('take a drain back while the hoster is still there')
    .description(
      'Asks all routers to take a drain back (admin), and waits until the hoster takes sessions again. Sessions that have moved stay where they are. A hoster whose last session has left ends, and cannot be taken back.',
    );
  withRouterFlags(command)
    .addHelpText('after', '\nExample:\n  $ cabstand undrain hoster-1')
    .action((node: string, flags: SubnetFlags) =>
      withConnection(context, flags, 'admin', async (connection) => {
        const { node: now, silent } = await connection.undrain(node);
        for (const router of silent)
          context.terminal.note(
            `the router at ${router} does not answer: if it asked for the drain, it will ask again\n`,
          );
        await untilBack(context, connection, now);
      }),
    );
}

async function untilGone(context: CliContext, connection: Connection, node: Node): Promise<void> {
  const { terminal } = context;
  for await (const now of follow(connection, node)) {
    if (now === undefined || now.state === 'NODE_STATE_OFFLINE') {
      terminal.progress('');
      const why = now === undefined ? '' : ` (${now.state_reasons.join(', ')})`;
      await terminal.out(`${node.node_id} is gone${why}\n`);
      return;
    }
    // Waiting on would be waiting for nothing.
    if (now.state === 'NODE_STATE_ONLINE')
      throw new CabstandError('INTERNAL', `the drain of ${node.node_id} was taken back`);
    terminal.progress(describe(now));
  }
}

async function untilBack(context: CliContext, connection: Connection, node: Node): Promise<void> {
  for await (const now of follow(connection, node)) {
    if (now === undefined || now.state === 'NODE_STATE_OFFLINE')
      throw new CabstandError('NODE_UNKNOWN', `${node.node_id} is gone: it was too late`);
    if (now.state === 'NODE_STATE_DRAINING') continue;
    await context.terminal.out(`${describe(now)}\n`);
    return;
  }
}

/** What becomes of this process of a node; undefined once it is known no more or another took its place. */
async function* follow(connection: Connection, node: Node): AsyncGenerator<Node | undefined> {
  let seen = false;
  for await (const nodes of connection.watch([])) {
    const now = nodes.find(
      ({ node_id: id, incarnation }) => id === node.node_id && incarnation === node.incarnation,
    );
    // Of a large fleet a router shows a part: that it is not among them does not mean that it is gone.
    if (now === undefined && !seen && (await answers(connection, node)))
      throw new CabstandError(
        'NODE_BAD_REPLY',
        `the router shows only some of its nodes, and ${node.node_id} is not among them`,
      );
    seen = true;
    yield now;
  }
  throw new CabstandError('ROUTER_UNREACHABLE', 'the router ended the watch');
}

/** Whether this very process still answers. */
async function answers(connection: Connection, node: Node): Promise<boolean> {
  try {
    return (await connection.info(node.address)).incarnation === node.incarnation;
  } catch (error) {
    if (isUnreachable(error)) return false;
    throw error;
  }
}

/** `hoster-1 is DRAINING, 3 sessions are left`. */
function describe({ node_id: id, state, load }: Node): string {
  const left = load?.open_sessions ?? 0;
  const name = state.replace('NODE_STATE_', '');
  const sessions = left === 1 ? '1 session is' : `${left} sessions are`;
  return `${id} is ${name}, ${sessions} ${name === 'DRAINING' ? 'left' : 'open'}`;
}

function noAnswer(node: string): CabstandError {
  return new CabstandError('NODE_BAD_REPLY', `the router says nothing of ${node}`);
}
