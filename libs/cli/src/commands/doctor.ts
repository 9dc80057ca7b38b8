import type { Command } from 'commander';
import type { CliContext } from '../context';
import { checkKeys } from '../doctor/keys';
import { fail, messageOf } from '../doctor/finding';
import type { Finding } from '../doctor/finding';
import { checkModels } from '../doctor/models';
import { checkNode } from '../doctor/node';
import { checkOnnx } from '../doctor/onnx';
import { checkPorts } from '../doctor/ports';
import { checkSubnet } from '../doctor/subnet';
import { ExitCode } from '../errors';
import { jsonLine } from '../render/json';
import { findingText } from '../render/finding';
import { DEFAULT_KEYS } from '../subnet/credentials';
import { hosterOf, withConnection, withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';
import { DEFAULT_MODELS } from '../subnet/layout';

interface DoctorFlags extends SubnetFlags {
  readonly json?: true;
  readonly models: string;
}

const DEFAULT_PORTS = [50050, 50051, 50052, 8050, 8051, 8052];
const TIMEOUT_MS = 5000;

/** `cabstand doctor`. */
export function registerDoctor(program: Command, context: CliContext): void {
  const command = program
    .command('doctor')
    .summary('what is wrong with this installation, and how to mend it')
    .description(
      'Checks Node, ONNX Runtime and its providers, models (as a hoster loads them), keys, ports, clocks, and the subnet if there is one. Ends with 1 if something fails.',
    )
    .option('--models <dir>', 'model folder', DEFAULT_MODELS)
    .option('--json', 'one JSON object per check');
  withSubnetFlags(command, TIMEOUT_MS)
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand doctor
  $ cabstand doctor --router router.example.org:50050 --credentials keys
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
  const checks: readonly [string, () => Findings][] = [
    ['node', checkNode],
    ['onnx', () => checkOnnx(terminal.signal)],
    [
      'models',
      () => checkModels(flags.models, { signal: terminal.signal, maxMessageBytes, progress }),
    ],
    ['keys', () => checkKeys(named ?? DEFAULT_KEYS, named !== undefined)],
    ['ports', () => checkPorts(DEFAULT_PORTS)],
    ['subnet', () => subnet(context, flags)],
  ];
  const counts = { ok: 0, warn: 0, fail: 0 };
  const print = async (finding: Finding): Promise<void> => {
    terminal.progress('');
    counts[finding.status]++;
    await terminal.out(
      flags.json === true ? jsonLine(finding) : findingText(finding, terminal.style),
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

function subnet(context: CliContext, flags: DoctorFlags): Promise<Finding[]> {
  const { env } = context;
  const hoster = hosterOf(flags, env);
  const configured =
    flags.router !== undefined || (env['CABSTAND_ROUTERS'] ?? '') !== '' || hoster !== undefined;
  return withConnection(context, flags, 'client', (connection) =>
    checkSubnet(connection, hoster, configured),
  );
}
