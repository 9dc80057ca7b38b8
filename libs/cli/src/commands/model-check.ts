import type { Command } from 'commander';
import { list, messageBytes } from '../arguments';
import type { CliContext } from '../context';
import { ExitCode } from '../errors';
import { checkAll, isFine } from '../models/check';
import { jsonLine } from '../render/json';
import { modelReportJson, modelReportText } from '../render/model-report';

interface CheckFlags {
  readonly audit?: readonly string[];
  readonly maxMessageBytes?: number;
  readonly json?: true;
}

/** `cabstand model check`. */
export function registerModelCheck(model: Command, context: CliContext): void {
  model
    .command('check <path>')
    .description(
      'Loads and verifies every model at PATH as a hoster would, and tells all that is wrong with it: file, key, what was found, what to write.',
    )
    .option(
      '--audit <file>',
      'recorded inputs (.npz, .json) that are run again, alone and among others; several times',
      list,
    )
    .option(
      '--max-message-bytes <bytes>',
      'rpc.max_message_bytes of the hosters that are to serve them (default 16777216)',
      messageBytes,
    )
    .option('--json', 'one JSON object per model')
    .addHelpText(
      'after',
      `
PATH is an ONNX file, a folder with a model, or a repository, as for \`cabstand serve\`.
Ends with 1 when a model cannot be served.

Examples:
  $ cabstand model check models/mine
  $ cabstand model check net.onnx
  $ cabstand model check models --json | jq -r 'select(.ok | not).problems[]'`,
    )
    .action((where: string, flags: CheckFlags) => check(context, where, flags));
}

async function check(context: CliContext, where: string, flags: CheckFlags): Promise<void> {
  const { terminal } = context;
  const { signal } = terminal;
  const reports = checkAll(where, {
    signal,
    audit: flags.audit,
    maxMessageBytes: flags.maxMessageBytes,
    progress: (what) => terminal.progress(`checking ${what}`),
  });
  try {
    for await (const report of reports) {
      terminal.progress('');
      if (!isFine(report)) context.exit(ExitCode.FAILURE);
      await terminal.out(
        flags.json === true
          ? jsonLine(modelReportJson(report))
          : modelReportText(report, terminal.style),
      );
    }
  } finally {
    terminal.progress('');
  }
}
