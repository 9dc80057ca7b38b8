import { mkdirSync } from 'node:fs';
import type { Command } from 'commander';
import { generateSubnetKeys } from '@cabstand/auth';
import { seconds, wholeNumber } from '../arguments';
import type { CliContext } from '../context';
import { runDemo } from '../demo';
import { checkModels } from '../doctor/models';
import { ExitCode, UsageError } from '../errors';
import { upGuide } from '../render/guide';
import { Connection } from '../subnet/connection';
import { writeConfigs } from '../subnet/configs';
import { findCredentials, rpcOptions } from '../subnet/credentials';
import { hasSubnetKeys } from '../subnet/key-folder';
import { DEFAULT_MODELS, addressOf, layout } from '../subnet/layout';
import type { SubnetLayout } from '../subnet/layout';
import { LocalSubnet } from '../subnet/local-subnet';
import { PidFile } from '../subnet/pid-file';
import { portFree, portHolder } from '../subnet/ports';
import { version } from '../version';

interface UpFlags {
  readonly hosters: number;
  readonly models: string;
  readonly demo?: true;
  readonly port: number;
  readonly adminPort: number;
  readonly data: string;
  readonly auth: boolean;
  readonly drain: number;
}

const PORT = 50050;
const ADMIN_PORT = 8050;
const DRAIN_MS = 10_000;
const CALL_TIMEOUT_MS = 5000;
/** Beyond what services allow themselves, before they are killed. */
const GRACE_MS = 5000;
const MOST_HOSTERS = 32;
const LONG_MS = 2 ** 30;

/** `cabstand up`. */
export function registerUp(program: Command, context: CliContext): void {
  program
    .command('up')
    .summary('a local subnet in one command: a router and hosters, on loopback')
    .description(
      'Starts a router and hosters on loopback with authentication on, waits until they serve, and stays until Ctrl-C, which drains them.',
    )
    .option('--hosters <n>', 'how many hosters', wholeNumber(1, MOST_HOSTERS), 2)
    .option('--models <dir>', 'model folder', DEFAULT_MODELS)
    .option('--demo', 'stream one session per bundled model to the terminal')
    .option(
      '--port <port>',
      'the router\u2019s port; hosters have the next ones',
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
    .option('--no-auth', 'without authentication: every process of this machine may call')
    .option('--drain <time>', 'how long running sessions may take at the end', seconds, DRAIN_MS)
    .addHelpText(
      'after',
      `
Keys are made at the first start and used again. Ends with 0 after Ctrl-C when everything has stopped.

Examples:
  $ cabstand up --demo
  $ cabstand up --hosters 3 --models ./models --port 51050 --admin-port 9050`,
    )
    .action((flags: UpFlags) => up(context, flags));
}

async function up(context: CliContext, flags: UpFlags): Promise<void> {
  const places = layout(flags);
  mkdirSync(flags.data, { recursive: true, mode: 0o700 });
  const pidFile = new PidFile(flags.data);
  const claim = pidFile.claim();
  if (claim.kind === 'taken')
    throw new UsageError(
      `a subnet with the data folder ${flags.data} is up already (pid ${claim.pid})`,
      `Stop it with Ctrl-C or \`kill ${claim.pid}\`, or start another with --data DIR and --port PORT.`,
    );
  try {
    if (claim.stale) tell(context, 'note', 'the last run was killed; it left only its files');
    await checkPorts(places);
    const count = `${flags.hosters} ${flags.hosters === 1 ? 'hoster' : 'hosters'}`;
    tell(context, 'cabstand', `${version()}, ${count}, models from ${flags.models}`);
    await reportModels(context, flags.models);
    await makeKeys(context, flags, places);
    await serve(context, flags, places);
  } finally {
    pidFile.release();
  }
}

async function serve(context: CliContext, flags: UpFlags, places: SubnetLayout): Promise<void> {
  const { terminal, env } = context;
  const rpc = rpcOptions(
    flags.auth
      ? findCredentials({ credentials: places.keys }, {}, 'client')
      : { auth: { mode: 'none' }, tls: undefined, source: 'none' },
  );
  const connection = new Connection({
    routers: [addressOf(places.router)],
    rpc,
    timeoutMs: CALL_TIMEOUT_MS,
    signal: terminal.signal,
  });
  const subnet = new LocalSubnet({
    layout: places,
    configs: writeConfigs({
      layout: places,
      models: flags.models,
      auth: flags.auth,
      drainMs: flags.drain,
    }),
    connection,
    // What is set for calling a subnet is not meant for its services.
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('CABSTAND_'))),
    tell: (name, what) => tell(context, name, what),
    signal: terminal.signal,
  });
  try {
    await subnet.start();
    // A demonstration that fails is told, here and by the exit code; the subnet is up all the same.
    if (flags.demo === true && !(await runDemo(terminal, connection, rpc)))
      context.exit(ExitCode.FAILURE);
    await terminal.out(upGuide(places, flags.auth, terminal.style));
    await untilAborted(terminal.signal);
    await terminal.out('\n');
  } finally {
    connection.close();
    await stop(context, subnet, flags.drain);
  }
}

async function stop(context: CliContext, subnet: LocalSubnet, drainMs: number): Promise<void> {
  tell(context, 'stop', 'draining and stopping; Ctrl-C again stops at once');
  if (await subnet.stop(drainMs + GRACE_MS)) tell(context, 'stop', 'everything has stopped');
  else {
    tell(context, 'stop', 'some had to be killed; see the logs');
    context.exit(ExitCode.FAILURE);
  }
}

/** Says which models cannot be served; throws a UsageError if that is all of them. */
async function reportModels(context: CliContext, folder: string): Promise<void> {
  const findings = await checkModels(folder);
  const broken = findings.filter(({ status }) => status !== 'ok');
  if (broken.length === findings.length) {
    const [first] = broken;
    throw new UsageError(broken.map(({ message }) => message).join('\n  '), first?.advice);
  }
  for (const { name, message } of broken)
    tell(context, 'models', context.terminal.style.yellow(`without ${name}: ${message}`));
}

async function makeKeys(context: CliContext, flags: UpFlags, places: SubnetLayout): Promise<void> {
  const { style } = context.terminal;
  if (!flags.auth) {
    tell(context, 'keys', style.yellow('none: every process of this machine may call'));
    return;
  }
  const made = !hasSubnetKeys(places.keys);
  if (made) await generateSubnetKeys({ folder: places.keys });
  tell(context, 'keys', `${made ? 'made' : 'those'} in ${places.keys}`);
}

/** Throws a UsageError that names all ports that are taken, and by whom. */
async function checkPorts(places: SubnetLayout): Promise<void> {
  const wanted = [places.router, ...places.hosters].flatMap(({ name, port, adminPort }) => [
    { what: name, port },
    { what: `${name}'s metrics`, port: adminPort },
  ]);
  const taken: string[] = [];
  for (const { what, port } of wanted) {
    if (await portFree(port)) continue;
    const holder = await portHolder(port);
    taken.push(`${port} for ${what}${holder === undefined ? '' : `, by ${holder}`}`);
  }
  if (taken.length === 0) return;
  let advice = 'Choose others with --port and --admin-port.';
  for (const step of [1000, 2000, 3000, 4000, 5000]) {
    if (!(await allFree(wanted.map(({ port }) => port + step)))) continue;
    const { port, adminPort } = places.router;
    advice = `These are free: --port ${port + step} --admin-port ${adminPort + step}`;
    break;
  }
  throw new UsageError(`ports are taken:\n  ${taken.join('\n  ')}`, advice);
}

async function allFree(ports: readonly number[]): Promise<boolean> {
  for (const port of ports) if (port > 65_535 || !(await portFree(port))) return false;
  return true;
}

/** Holds the process until then: nothing else may. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const awake = setInterval(() => undefined, LONG_MS);
    const done = (): void => {
      clearInterval(awake);
      resolve();
    };
    if (signal.aborted) done();
    else signal.addEventListener('abort', done, { once: true });
  });
}

const NAME_WIDTH = 10;

function tell({ terminal }: CliContext, name: string, what: string): void {
  void terminal.out(`${terminal.style.cyan(name.padEnd(NAME_WIDTH))}${what}\n`);
}
