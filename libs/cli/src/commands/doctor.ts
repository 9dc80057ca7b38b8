import type { Command } from 'commander';
import { systemClock } from '@cabstand/core';
import type { CliContext } from '../context';
import { checkCertificates } from '../doctor/certificates';
import { ServerClocks } from '../doctor/clocks';
import { checkKeys } from '../doctor/keys';
import { fail, messageOf } from '../doctor/finding';
import type { Finding } from '../doctor/finding';
import { checkMemoryLimits, checkOpenFiles, thisMachine } from '../doctor/limits';
import type { Machine } from '../doctor/limits';
import { checkModels, preferredProviders } from '../doctor/models';
import { checkNode } from '../doctor/node';
import { checkOnnx } from '../doctor/onnx';
import { checkPorts } from '../doctor/ports';
import { findingJson } from '../doctor/report';
import { checkService } from '../doctor/service';
import { readSettings } from '../doctor/settings';
import type { ServiceSettings } from '../doctor/settings';
import { checkSubnet } from '../doctor/subnet';
import { ExitCode } from '../errors';
import { findingText } from '../render/finding';
import { Connection } from '../subnet/connection';
import { DEFAULT_KEYS, findCredentials, rpcOptions } from '../subnet/credentials';
import { hosterOf, routersOf, withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';
import { DEFAULT_MODELS } from '../subnet/layout';

interface DoctorFlags extends SubnetFlags {
  readonly json?: true;
  readonly models: string;
  readonly routerConfig?: string;
  readonly hosterConfig?: string;
  readonly gatewayConfig?: string;
}

const DEFAULT_PORTS = [50050, 50051, 50052, 8050, 8051, 8052];
const TIMEOUT_MS = 5000;

/** `cabstand doctor`. */
export function registerDoctor(program: Command, context: CliContext): void {
  const command = program
    .command('doctor')
    .summary('what is wrong with this installation, and how to mend it')
    .description(
      'Checks Node, ONNX Runtime and its providers, models (as a hoster loads them), keys, ports, limits, and the subnet if there is one: its routers and hosters as clients reach them, their clocks, certificates and providers. Says all that is wrong at once. Ends with 0 if nothing fails, with 1 if something does, with 2 if it was called wrongly.',
    )
    .option('--models <dir>', 'model folder', DEFAULT_MODELS)
    .option('--router-config <file>', 'settings of a router that runs here: its limits, key, names')
    .option('--hoster-config <file>', 'the same of a hoster')
    .option('--gateway-config <file>', 'the same of a gateway')
    .option('--json', 'one JSON object per check');
  withSubnetFlags(command, TIMEOUT_MS)
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand doctor
  $ cabstand doctor --router router.example.org:50050 --credentials keys --tls
  $ cabstand doctor --hoster-config hoster.yaml
  $ cabstand doctor --json | jq -r 'select(.status != "ok")'`,
    )
    .action((flags: DoctorFlags) => doctor(context, flags));
}

type Findings = AsyncIterable<Finding> | Promise<readonly Finding[]> | readonly Finding[];

async function doctor(context: CliContext, flags: DoctorFlags): Promise<void> {
  const { terminal, env } = context;
  const { maxMessageBytes } = flags;
  const named = flags.credentials ?? env['CABSTAND_CREDENTIALS'];
  const progress = (what: string): void => terminal.progress(`checking ${what}`);
  const machine = thisMachine();
  const checks: readonly [string, () => Findings][] = [
    ['node', () => checkNode(machine)],
    ['onnx', () => checkOnnx(terminal.signal)],
    [
      'models',
      () => checkModels(flags.models, { signal: terminal.signal, maxMessageBytes, progress }),
    ],
    ['keys', () => checkKeys(named ?? DEFAULT_KEYS, named !== undefined)],
    ['ports', () => checkPorts(DEFAULT_PORTS)],
    ['settings', () => configured(context, flags, machine)],
    ['subnet', () => subnet(context, flags)],
  ];
  const counts = { ok: 0, warn: 0, fail: 0 };
  const print = async (finding: Finding): Promise<void> => {
    terminal.progress('');
    counts[finding.status]++;
    await terminal.out(
      flags.json === true ? findingJson(finding) : findingText(finding, terminal.style),
    );
  };
  for (const [name, check] of checks) {
    progress(name);
    try {
      for await (const finding of await check()) await print(finding);
    } catch (error) {
      terminal.signal.throwIfAborted();
      await print(fail(name, `could not be checked: ${messageOf(error)}`, 'See the message.'));
    }
    terminal.progress('');
    terminal.signal.throwIfAborted();
  }
  if (flags.json !== true)
    await terminal.out(
      counts.fail > 0
        ? `\n${counts.fail} ${counts.fail === 1 ? 'thing needs' : 'things need'} mending\n`
        : `\nnothing is wrong${counts.warn > 0 ? `; ${counts.warn} to know about` : ''}\n`,
    );
  if (counts.fail > 0) context.exit(ExitCode.FAILURE);
}

/** What the machine must have for the services that are configured here, and what they are configured with. */
async function configured(
  { env, terminal: { signal } }: CliContext,
  flags: DoctorFlags,
  machine: Machine,
): Promise<Finding[]> {
  const files = [
    ['router', flags.routerConfig],
    ['hoster', flags.hosterConfig],
    ['gateway', flags.gatewayConfig],
  ] as const;
  const read = await Promise.all(
    files.flatMap(([service, file]) =>
      file === undefined ? [] : [readSettings(service, file, env, signal)],
    ),
  );
  const wrong = read.flatMap<Finding>((one) => ('status' in one ? [one] : []));
  const settings = read.flatMap<ServiceSettings>((one) => ('settings' in one ? [one] : []));
  return [
    ...wrong,
    ...settings.flatMap((one) => checkService(one)),
    ...checkOpenFiles(machine, settings),
    ...checkMemoryLimits(machine, settings),
  ];
}

async function subnet(context: CliContext, flags: DoctorFlags): Promise<Finding[]> {
  const { env, terminal } = context;
  const { signal } = terminal;
  const hoster = hosterOf(flags, env);
  const credentials = findCredentials(flags, env, 'client');
  const { authorizer, ...rpc } = rpcOptions(credentials, flags.maxMessageBytes);
  const clocks = new ServerClocks(systemClock);
  const timeoutMs = flags.timeout;
  const connection = new Connection({
    routers: routersOf(flags, env),
    rpc: { ...rpc, authorizer: clocks.watching(authorizer) },
    ...{ timeoutMs, signal },
  });
  try {
    const { findings, called } = await checkSubnet(connection, {
      ...{ hoster, clocks },
      configured:
        flags.router !== undefined ||
        (env['CABSTAND_ROUTERS'] ?? '') !== '' ||
        hoster !== undefined,
      preferred: await preferredProviders(flags.models),
    });
    const { tls } = credentials;
    return tls === undefined
      ? [...findings]
      : [...findings, ...(await checkCertificates(called, tls, { timeoutMs, signal }))];
  } finally {
    connection.close();
  }
}
