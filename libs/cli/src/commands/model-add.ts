import type { Command } from 'commander';
import type { CliContext } from '../context';
import { ExitCode } from '../errors';
import { addModel, takeBack } from '../models/add';
import { checkEntry } from '../models/check';
import { commandName } from '../render/guide';
import { jsonLine } from '../render/json';
import { modelReportJson, modelReportText } from '../render/model-report';
import { printable } from '../render/style';

interface AddFlags {
  readonly name?: string;
  readonly models: string;
  readonly force?: true;
  readonly json?: true;
}

/** `cabstand model add`. */
export function registerModelAdd(model: Command, context: CliContext): void {
  model
    .command('add <file>')
    .description(
      'Copies an ONNX file, with its external data, into a repository, and writes a manifest that says what the graph says and what it cannot.',
    )
    .option('--name <name>', 'the name that callers use; default: from the file')
    .option('--models <dir>', 'the repository; made where there is none', 'models')
    .option('--force', 'write the manifest anew, and the file over the newest version')
    .option('--json', 'one JSON object: what was written, and the result of the check')
    .addHelpText(
      'after',
      `
Another file under a name that is there becomes its next version; the manifest stays. The same file again
changes nothing. Ends with 1 when a hoster could not serve it, with all reasons.

Examples:
  $ cabstand model add net.onnx
  $ cabstand model add exported/model.onnx --name sentiment --models /srv/models`,
    )
    .action((file: string, flags: AddFlags) => add(context, file, flags));
}

async function add(context: CliContext, file: string, flags: AddFlags): Promise<void> {
  const { terminal } = context;
  const { style } = terminal;
  const added = await addModel(file, {
    repository: flags.models,
    name: flags.name,
    force: flags.force === true,
  });
  const json = flags.json === true;
  const say = async (text: string): Promise<void> => {
    if (!json) await terminal.out(`${text}\n`);
  };
  const what = { new: 'is now', same: 'is already' }[added.file];
  await say(`${file} ${what} version ${added.version} of ${style.bold(added.name)}`);
  await say(
    added.manifestWritten
      ? `${added.manifest} says what the graph says; edit it to say more`
      : `${added.manifest} stays as it is`,
  );
  for (const line of added.inferred) await say(`  ${style.green('known')}  ${printable(line)}`);
  for (const line of added.open) await say(`  ${style.yellow('open')}   ${printable(line)}`);
  const report = await checkEntry(
    { name: added.name, folder: added.folder, variant: undefined },
    {
      signal: terminal.signal,
      progress: (stage) => terminal.progress(`checking ${stage}`),
    },
  ).finally(() => terminal.progress(''));
  if (json) await terminal.out(jsonLine({ ...added, check: modelReportJson(report) }));
  else await terminal.out(modelReportText(report, style));
  if (!report.ok) {
    context.exit(ExitCode.FAILURE);
    if (added.before === undefined) return;
    // A working model must not go out of service for a file that cannot take its place.
    await takeBack(added);
    await say(
      `version ${added.version} was taken away again: version ${added.before} of ${added.name} stays the newest`,
    );
  } else await say(`\nServe it: ${commandName()} serve ${added.folder}`);
}
