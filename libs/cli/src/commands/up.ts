import type { Command } from 'commander';
import { timeOption, wholeNumber } from '../arguments';
import type { CliContext } from '../context';
import { runDemo } from '../demo';
import { checkManifests } from '../doctor/models';
import { ExitCode, UsageError } from '../errors';
import { upGuide } from '../render/guide';
import { allowedCores, planCores } from '../subnet/cores';
import type { CorePlan } from '../subnet/cores';
import { makeDataFolder } from '../subnet/data-folder';
import { DEFAULT_MODELS, layout } from '../subnet/layout';
import { PidFile } from '../subnet/pid-file';
import { runLocal } from '../subnet/run-local';
import { requireFreePorts } from '../subnet/subnet-ports';
import { tell } from '../subnet/tell';
import { version } from '../version';

interface UpFlags {
  readonly hosters: number | 'auto';
  readonly models: string;
  readonly demo?: true;
  readonly port: number;
  readonly adminPort: number;
  readonly data: string;
  readonly auth: boolean;
  readonly gateway: boolean;
  readonly httpPort?: number;
  readonly corsOrigin?: readonly string[];
  readonly drain: number;
}

const PORT = 50050;
const ADMIN_PORT = 8050;
const DRAIN_MS = 10_000;
const MOST_HOSTERS = 32;

/** `cabstand up`. */
export function registerUp(program: Command, context: CliContext): void {
  program
    .command('up')
    .summary('a local subnet in one command: a router, hosters and a gateway, on loopback')
    .description(
      'Starts a router, hosters and a gateway on loopback with authentication on, waits until they serve, and stays until Ctrl-C, which drains them.',
    )
    .option(
      '--hosters <n|auto>',
      'how many hosters; auto: as many as the cores of this machine carry, each on cores of its own',
      (value) => (value === 'auto' ? value : wholeNumber(1, MOST_HOSTERS)(value)),
      2,
    )
    .option('--models <dir>', 'model folder', DEFAULT_MODELS)
    .option('--demo', 'stream one session per bundled model to the terminal')
    .option(
      '--port <port>',
      'the router\u2019s port; hosters have the next ones, then the gateway',
      wholeNumber(1, 65_000),
      PORT,
    )
    .option(
      '--admin-port <port>',
      'the same for metrics and health',
      wholeNumber(1, 65_000),
      ADMIN_PORT,
    )
    .option('--data <dir>', 'keys, configuration and logs', '.cabstand')
    .option('--no-gateway', 'without a gateway for plain callers')
    .option(
      '--http-port <port>',
      'where the gateway takes browsers and curl; default: nowhere',
      wholeNumber(1, 65_535),
    )
    .option('--cors-origin <origin...>', 'web pages that may call there: http://localhost:8000')
    .option('--no-auth', 'without authentication: every process of this machine may call')
    .addOption(
      timeOption('--drain <time>', 'how long running sessions may take at the end', DRAIN_MS),
    )
    .addHelpText(
      'after',
      `
Keys are made at the first start and used again. Ends with 0 after Ctrl-C when everything has stopped.

Examples:
  $ cabstand up --demo
  $ cabstand up --hosters 3 --models ./models --port 51050 --admin-port 9050
  $ cabstand up --hosters auto     all of a large machine`,
    )
    .action((flags: UpFlags) => up(context, flags));
}

async function up(context: CliContext, flags: UpFlags): Promise<void> {
  const { terminal } = context;
  if (flags.httpPort !== undefined && !flags.gateway)
    throw new UsageError('--http-port is the gateway\u2019s', 'Leave out --no-gateway.');
  const { hosters, own } = plan(flags.hosters);
  const places = layout({ ...flags, hosters, cores: own });
  makeDataFolder(flags.data);
  const pidFile = new PidFile(flags.data);
  const claim = pidFile.claim();
  if (claim.kind === 'taken')
    throw new UsageError(
      `a subnet with the data folder ${flags.data} is up already (pid ${claim.pid})`,
      `Stop it with Ctrl-C or \`kill ${claim.pid}\`, or start another with --data DIR --port PORT --admin-port PORT.`,
    );
  try {
    if (claim.stale) tell(context, 'note', 'the last run was killed; it left only its files');
    await requireFreePorts(places);
    const count = `${hosters} ${hosters === 1 ? 'hoster' : 'hosters'}`;
    tell(context, 'cabstand', `${version()}, ${count}, models from ${flags.models}`);
    if (flags.hosters === 'auto') tell(context, 'cores', placed({ hosters, own }));
    await requireSome(flags.models);
    await runLocal(context, {
      places,
      models: { repository: flags.models },
      auth: flags.auth,
      drainMs: flags.drain,
      whenUp: async (connection, rpc) => {
        // A demonstration that fails is told, here and by the exit code; the subnet is up all the same.
        if (flags.demo === true && !(await runDemo(terminal, connection, rpc)))
          context.exit(ExitCode.FAILURE);
        const nodes = await connection.nodes();
        const models = [...new Set(nodes.flatMap((node) => node.models.map(({ name }) => name)))];
        await terminal.out(upGuide(places, flags.auth, models.sort(), terminal.style));
      },
    });
  } finally {
    pidFile.release();
  }
}

function plan(hosters: number | 'auto'): CorePlan {
  return hosters === 'auto' ? planCores(allowedCores(), MOST_HOSTERS) : { hosters, own: [] };
}

function placed({ hosters, own }: CorePlan): string {
  const counts = [...new Set(own.map(({ length }) => length))].sort((a, b) => a - b).join(' or ');
  return own.length === 0
    ? `too few for ${hosters} hosters to have some of their own, so they share them`
    : `${own.flat().length}: each hoster computes on ${counts} of them`;
}

/** Throws a UsageError if no manifest is valid; the hosters tell of single ones. */
async function requireSome(folder: string): Promise<void> {
  const findings = await checkManifests(folder);
  if (findings.some(({ status }) => status === 'ok')) return;
  throw new UsageError(findings.map(({ message }) => message).join('\n  '), findings[0]?.advice);
}
