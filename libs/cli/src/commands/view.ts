import { RemoteManager, SessionManager } from '@cabstand/client';
import type { SessionView } from '@cabstand/client';
import type { Command } from 'commander';
import type { CliContext } from '../context';
import { rendererFor, renderOptions } from '../render/choose';
import { jsonLine } from '../render/json';
import { LiveArea } from '../render/live-area';
import type { OutputRenderer } from '../render/output';
import { printable } from '../render/style';
import { findCredentials, rpcOptions } from '../subnet/credentials';
import { hosterOf, routersOf, withConnection, withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';

interface ViewFlags extends SubnetFlags {
  readonly model?: string;
  readonly json?: true;
}

/** `cabstand view`. */
export function registerView(program: Command, context: CliContext): void {
  const command = program
    .command('view <session>')
    .summary('watch a session that somebody else uses')
    .description(
      'Shows what a session gives, as it comes, until it ends or Ctrl-C. The session notices nothing: what this terminal is too slow for is left out.',
    )
    .option('--model <name>', 'its model, where the session is not durable: routers do not know it')
    .option('--json', 'one JSON object per record');
  withSubnetFlags(command)
    .addHelpText(
      'after',
      `
The session has to be of the same principal.

Examples:
  $ cabstand view ride-7
  $ cabstand view ride-7 --hoster 127.0.0.1:50051 --json`,
    )
    .action((session: string, flags: ViewFlags) => watch(context, session, flags));
}

async function watch(context: CliContext, id: string, flags: ViewFlags): Promise<void> {
  const { terminal, env } = context;
  const hoster = hosterOf(flags, env);
  const remote = new RemoteManager({
    ...(hoster === undefined ? { routers: routersOf(flags, env) } : { hosters: [hoster] }),
    ...rpcOptions(findCredentials(flags, env, 'client'), flags.maxMessageBytes),
  });
  const manager = new SessionManager(remote, { timeouts: { firstMs: flags.timeout } });
  try {
    const view = await manager.view(id, {
      ...(flags.model === undefined ? {} : { model: flags.model }),
      signal: terminal.signal,
    });
    const area = terminal.redraws && flags.json !== true ? new LiveArea() : undefined;
    tell(context, view, flags, area);
    const renderer = await rendererOf(context, view, flags, area);
    try {
      for await (const { index, position, turn, text, tensors } of view)
        await terminal.out(renderer.chunk({ index, position, turn, text, outputs: tensors }));
    } finally {
      await terminal.out(renderer.finish(undefined));
    }
  } finally {
    await manager.close();
    await remote.close();
  }
}

/** What fits the outputs of its model. */
async function rendererOf(
  context: CliContext,
  { model, node }: SessionView,
  flags: ViewFlags,
  area: LiveArea | undefined,
): Promise<OutputRenderer> {
  const { models } = await withConnection(context, flags, 'client', (connection) =>
    connection.info(node.address, [model]),
  );
  const [described] = models;
  if (described === undefined) throw new Error(`${node.address} does not say what ${model} gives`);
  const format = flags.json === true ? 'json' : 'readable';
  return rendererFor(described, renderOptions(context.terminal, format, area));
}

function tell(
  { terminal }: CliContext,
  view: SessionView,
  { json }: ViewFlags,
  area: LiveArea | undefined,
): void {
  const { style } = terminal;
  const above = (readable: string, told: object): void => {
    const text = json === true ? jsonLine(told) : `${readable}\n`;
    void terminal.out(area?.above(text) ?? text);
  };
  view.on('message', ({ name, message, position, turn }) =>
    above(`${style.cyan(printable(name))} ${printable(JSON.stringify(message))}`, {
      ...{ message: name, position, turn, value: message },
    }),
  );
  view.on('skipped', ({ records }) =>
    above(style.dim(`${records} records left out`), { skipped: records }),
  );
  view.on('end', ({ reason, error }) =>
    above(style.dim(`the session ended: ${reason}`), {
      end: { reason, ...(error === undefined ? {} : { error: error.reason }) },
    }),
  );
}
