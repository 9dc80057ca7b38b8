import type { Command } from 'commander';
import { CabstandError } from '@cabstand/core';
import { testModule } from '@cabstand/engine';
import type { ModuleTestReport } from '@cabstand/engine';
import { wholeNumber } from '../arguments';
import type { CliContext } from '../context';
import { ExitCode } from '../errors';
import { moduleAt } from '../models/module-at';
import { jsonLine } from '../render/json';
import { moduleTestText } from '../render/module-test';
import { DEFAULT_MODELS } from '../subnet/layout';

interface TestFlags {
  readonly models: string;
  readonly seconds: number;
  readonly json?: true;
}

const SECONDS = 10;

/** `cabstand module test`. */
export function registerModuleTest(module: Command, context: CliContext): void {
  module
    .command('test <module>')
    .description(
      'Loads a module in engine processes as a hoster would, runs sessions of it, kills them, and tells what breaks: emits, commands, stops, replays, leftovers between sessions, state that does not last.',
    )
    .option(
      '--seconds <n>',
      'how long its sessions may take together',
      wholeNumber(1, 600),
      SECONDS,
    )
    .option('--models <dir>', 'the repository in which a name is looked for', DEFAULT_MODELS)
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
MODULE is a name in the repository, or a folder with model.yaml. Parameters have their defaults; live input,
prompts and the arguments of commands are made from what is declared. Ends with 1 when something is wrong.

Examples:
  $ cabstand module test waves
  $ cabstand module test ~/mine/waves --seconds 30
  $ cabstand module test waves --json | jq -r '.findings[] | select(.outcome == "failed").summary'`,
    )
    .action((wanted: string, flags: TestFlags) => test(context, wanted, flags));
}

async function test(context: CliContext, wanted: string, flags: TestFlags): Promise<void> {
  const { terminal } = context;
  const { signal, style } = terminal;
  const { folder, variant } = await moduleAt(wanted, flags.models);
  let report: ModuleTestReport;
  try {
    report = await testModule(folder, {
      variant,
      seconds: flags.seconds,
      onProgress: (what) => terminal.progress(`testing ${wanted}: ${what}`),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw new CabstandError('CANCELLED', 'interrupted', { cause: error });
    throw error;
  } finally {
    terminal.progress('');
  }
  if (!report.ok) context.exit(ExitCode.FAILURE);
  await terminal.out(flags.json === true ? jsonLine(report) : moduleTestText(report, style));
}
