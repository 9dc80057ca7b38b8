import type { Command } from 'commander';
import type { CliContext } from '../context';
import { ExitCode } from '../errors';
import { addModel } from '../models/add';
import { checkEntry } from '../models/check';
import { computeRecords } from '../models/compute';
import { renewGolden } from '../models/renew-golden';
import { commandName } from '../render/guide';
import { jsonLine } from '../render/json';
import { modelReportJson, modelReportText, renewedText } from '../render/model-report';
import { printable } from '../render/style';

interface AddFlags {
  readonly name?: string;
  readonly models: string;
  readonly force?: true;
  readonly renewGolden?: true;
  readonly json?: true;
}

const RENEW_ADVICE =
  'Either this file is wrong, or the golden data are answers of earlier weights: add it with --renew-golden.';

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
    .option(
      '--renew-golden',
      'weights trained anew: what they answer becomes the golden data; the inputs stay',
    )
    .option('--json', 'one JSON object: what was written, and the result of the check')
    .addHelpText(
      'after',
      `
Another file under a name that is there becomes its next version; the manifest stays. The same file again
changes nothing. Ends with 1 when a hoster could not serve it, with all reasons; a model that was there
before stays then, with --force too.

Examples:
  $ cabstand model add net.onnx
  $ cabstand model add exported/model.onnx --name sentiment --models /srv/models`,
    )
    .action((file: string, flags: AddFlags) => add(context, file, flags));
}

async function add(context: CliContext, file: string, flags: AddFlags): Promise<void> {
  const { terminal } = context;
  const { style } = terminal;
  const { report: found, ...added } = await addModel(file, {
    repository: flags.models,
    name: flags.name,
    force: flags.force === true,
    ...(flags.renewGolden === true && {
      renew: (folder: string) =>
        renewGolden(folder, (manifest, sessions) => computeRecords(context, manifest, sessions)),
    }),
    check: (entry) =>
      checkEntry(entry, {
        signal: terminal.signal,
        progress: (stage) => terminal.progress(`checking ${stage}`),
      }).finally(() => terminal.progress('')),
  });
  // The data are to be those of a file that has no place yet.
  const report =
    found.ok || found.advice === undefined || added.placed
      ? found
      : { ...found, advice: RENEW_ADVICE };
  if (!report.ok) context.exit(ExitCode.FAILURE);
  if (flags.json === true) {
    await terminal.out(jsonLine({ ...added, check: modelReportJson(report) }));
    return;
  }
  const say = (text: string): Promise<void> => terminal.out(`${text}\n`);
  const { name, version, before, placed } = added;
  if (placed) {
    const what = { new: 'is now', same: 'is already' }[added.file];
    await say(`${file} ${what} version ${version} of ${style.bold(name)}`);
    await say(
      added.manifestWritten
        ? `${added.manifest} says what the graph says; edit it to say more`
        : `${added.manifest} stays as it is`,
    );
  }
  for (const line of added.inferred) await say(`  ${style.green('known')}  ${printable(line)}`);
  for (const line of added.open) await say(`  ${style.yellow('open')}   ${printable(line)}`);
  if (added.renewed !== undefined && placed) await say(renewedText(added.renewed));
  await terminal.out(modelReportText(report, style));
  if (!placed)
    await say(
      version === before
        ? `${file} was not put over version ${version} of ${name}: it and ${added.manifest} are as they were`
        : `version ${version} was taken away again: version ${before} of ${name} stays the newest`,
    );
  else if (report.ok) await say(`\nServe it: ${commandName()} serve ${added.folder}`);
}
