import { sleep } from '@cabstand/core';
import type { Command } from 'commander';
import { list, timeOption } from '../arguments';
import type { CliContext } from '../context';
import { ExitCode } from '../errors';
import { jsonLine } from '../render/json';
import { findCredentials } from '../subnet/credentials';
import { withConnection, withRouterFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';
import type { Connection } from '../subnet/connection';
import { Followed, MOST_NODES } from '../top/follow';
import { onQuit } from '../top/quit';
import { metricsFlags, metricsSource } from '../top/metrics-flags';
import type { MetricsFlags } from '../top/metrics-flags';
import { Sampler } from '../top/sampler';
import { screenLines } from '../top/screen';

interface TopFlags extends SubnetFlags, MetricsFlags {
  readonly model?: readonly string[];
  readonly interval: number;
  readonly once?: true;
  readonly json?: true;
}

const INTERVAL_MS = 2000;
const LEAST_WAIT_MS = 1000;
/** The other screen of a terminal, without a cursor, and back. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';

/** `cabstand top`. */
export function registerTop(program: Command, context: CliContext): void {
  const command = program
    .command('top')
    .summary('a subnet at a glance, live: nodes, models, sessions, throughput')
    .description(
      'Shows hosters with their states and reasons, models, sessions (running and idle, free slots), and where metrics are at hand throughput, latency, hand-outs and failovers. What needs somebody comes first; what does not fit is counted. q or Ctrl-C ends it. Written to a file or a pipe it is one snapshot as JSON.',
    )
    .option('--model <name>', 'only hosters with this model', list)
    .addOption(timeOption('--interval <time>', 'how often it is drawn anew', INTERVAL_MS))
    .option('--once', 'one snapshot, and no more')
    .option('--json', 'the snapshot as one JSON object');
  metricsFlags(command);
  withRouterFlags(command)
    .addHelpText(
      'after',
      `
Rates and latencies are of the last five intervals, with --once of one. RUN is reckoned from free slots.

Examples:
  $ cabstand top
  $ cabstand top --router 10.0.0.7:50050 --tls --credentials keys \\
      --metrics https://10.0.0.7:8050,https://10.0.0.8:8051 --metrics-token-file keys/admin.token
  $ cabstand top --json | jq '.nodes[] | select(.state != "ONLINE")'`,
    )
    .action((flags: TopFlags) => top(context, flags));
}

async function top(context: CliContext, flags: TopFlags): Promise<void> {
  const { terminal, env } = context;
  await withConnection(context, flags, 'client', async (connection) => {
    const { urls, token } = metricsSource(flags, env, connection.routers);
    const sampler = new Sampler(connection, urls, {
      token,
      ca: findCredentials(flags, env, 'client').tls?.ca,
      // A service that hangs shall not hold the picture up.
      timeoutMs: Math.min(flags.timeout, Math.max(flags.interval, LEAST_WAIT_MS)),
    });
    const json = flags.json === true || !terminal.interactive;
    if (json || flags.once === true) await once(context, flags, connection, sampler, json);
    else await live(context, flags, connection, sampler);
  });
}

async function once(
  { terminal }: CliContext,
  flags: TopFlags,
  connection: Connection,
  sampler: Sampler,
  json: boolean,
): Promise<void> {
  const { columns, style, signal } = terminal;
  // Rates need two rounds.
  if (sampler.scrapes) {
    await sampler.scrape(signal);
    await sleep(flags.interval, signal);
    await sampler.scrape(signal);
  }
  const view = sampler.view(await connection.nodes(flags.model, MOST_NODES));
  await terminal.out(
    json
      ? jsonLine(view)
      : screenLines(view, { columns, rows: Infinity, style })
          .map((line) => `${line}\n`)
          .join(''),
  );
}

async function live(
  context: CliContext,
  flags: TopFlags,
  connection: Connection,
  sampler: Sampler,
): Promise<void> {
  const { terminal, stdin } = context;
  const ending = new AbortController();
  const end = (): void => ending.abort();
  terminal.signal.addEventListener('abort', end, { once: true });
  const followed = new Followed();
  let begin = end;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const following = followed.run(connection, flags.model ?? [], ending.signal, begin);
  const giveBack = onQuit(stdin, (key) => {
    if (key === 'ctrl-c') context.exit(ExitCode.INTERRUPTED);
    end();
  });
  try {
    await Promise.race([begun, following]);
    if (terminal.redraws) await terminal.out(ENTER);
    while (!ending.signal.aborted) {
      await sampler.scrape(ending.signal);
      await terminal.out(picture(context, sampler, followed));
      await sleep(flags.interval, ending.signal).catch(() => undefined);
    }
  } finally {
    end();
    terminal.signal.removeEventListener('abort', end);
    giveBack();
    if (terminal.redraws) await terminal.out(LEAVE);
    await following.catch(() => undefined);
  }
  if (terminal.signal.aborted) context.exit(ExitCode.INTERRUPTED);
}

function picture({ terminal }: CliContext, sampler: Sampler, { nodes, trouble }: Followed): string {
  const { columns, rows, style, redraws } = terminal;
  const size = redraws ? { columns, rows: rows - 1 } : { columns, rows: Infinity };
  const lines = screenLines(sampler.view(nodes), { ...size, style, trouble, hint: 'q quits' });
  if (!redraws) return `${lines.join('\n')}\n\n`;
  return `\u001b[H${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`;
}
