import { readFile, stat, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { readTranscript, recordModule, replayModule, writeTranscript } from '@cabstand/engine';
import { list, parameter, wholeNumber } from '../arguments';
import type { CliContext } from '../context';
import { ExitCode, UsageError } from '../errors';
import { moduleAt } from '../models/module-at';
import { jsonLine } from '../render/json';
import { moduleReplayText } from '../render/module-replay';
import { printable } from '../render/style';
import { typedCommand } from '../steer/words';
import { DEFAULT_MODELS } from '../subnet/layout';

interface RecordFlags {
  readonly models: string;
  readonly param?: Readonly<Record<string, unknown>>;
  readonly prompt?: string;
  readonly seed?: number;
  readonly command?: readonly string[];
  readonly records: number;
  readonly seconds: number;
}

interface ReplayFlags {
  readonly models: string;
  readonly json?: true;
}

const RECORDS = 120;
const SECONDS = 10;
/** Of a transcript. */
const MOST_BYTES = 64 * 1024 * 1024;

/** `cabstand module record`. */
export function registerModuleRecord(module: Command, context: CliContext): void {
  module
    .command('record <module> <file>')
    .description(
      'Runs a session of a module that declares survival: replay, and writes down what it was given and digests of what it gave.',
    )
    .option('--param <name=value>', 'a parameter of the session (JSON, or a string)', parameter)
    .option('--prompt <text>', 'the prompt; default: an example')
    .option('--seed <n>', 'of ctx.random()', wholeNumber(0, 2 ** 32 - 1))
    .option('--command <line>', 'NAME key=value …; several times: one after another', list)
    .option('--records <n>', 'how many at most', wholeNumber(1, 10_000), RECORDS)
    .option('--seconds <n>', 'how long at most', wholeNumber(1, 600), SECONDS)
    .option('--models <dir>', 'the repository in which a name is looked for', DEFAULT_MODELS)
    .addHelpText(
      'after',
      `
MODULE is a name in the repository, or a folder with model.yaml. Inputs are made from what it declares.

Examples:
  $ cabstand module record waves waves.jsonl --command 'set_colour colour=red'
  $ cabstand module replay waves.jsonl             after a change: whether sessions that run would go on`,
    )
    .action((wanted: string, file: string, flags: RecordFlags) =>
      record(context, wanted, file, flags),
    );
}

/** `cabstand module replay`. */
export function registerModuleReplay(module: Command, context: CliContext): void {
  module
    .command('replay <file> [module]')
    .description(
      'Runs a session that `module record` wrote down against the code as it is now, and tells the first record that is another one, with its line.',
    )
    .option('--models <dir>', 'the repository in which a name is looked for', DEFAULT_MODELS)
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
MODULE is by default the one of the recording's name. Ends with 1 where a record is another one.

Examples:
  $ cabstand module replay waves.jsonl
  $ cabstand module replay waves.jsonl ~/mine/waves --json`,
    )
    .action((file: string, wanted: string | undefined, flags: ReplayFlags) =>
      replay(context, file, wanted, flags),
    );
}

async function record(
  { terminal }: CliContext,
  wanted: string,
  file: string,
  { models, param = {}, command = [], ...flags }: RecordFlags,
): Promise<void> {
  const { signal } = terminal;
  const { folder, variant } = await moduleAt(wanted, models);
  const commands = command.map((line) => {
    const { name, args } = typedCommand(line);
    return { name, arguments: args };
  });
  terminal.progress(`recording a session of ${wanted}`);
  try {
    const options = { variant, signal, commands, parameters: param, ...flags };
    const transcript = await recordModule(folder, options);
    await writeFile(file, writeTranscript(transcript));
    const { length } = transcript.records;
    await terminal.out(
      `${length} ${length === 1 ? 'record' : 'records'} are in ${printable(file)}\n`,
    );
  } finally {
    terminal.progress('');
  }
}

async function replay(
  context: CliContext,
  file: string,
  wanted: string | undefined,
  { models, json }: ReplayFlags,
): Promise<void> {
  const { terminal } = context;
  const { signal, style } = terminal;
  const transcript = readTranscript(await textOf(file));
  const { folder, variant } = await moduleAt(wanted ?? transcript.model, models);
  terminal.progress(`running ${file} again`);
  try {
    const report = await replayModule(transcript, folder, { variant, signal });
    if (report.difference !== undefined) context.exit(ExitCode.FAILURE);
    const text = json === true ? jsonLine(report) : moduleReplayText(report, transcript, style);
    await terminal.out(text);
  } finally {
    terminal.progress('');
  }
}

/** @throws UsageError for what is no file, or too large to be one */
async function textOf(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size <= MOST_BYTES) return await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(`${file} cannot be read`, (error as Error).message, error);
  }
  throw new UsageError(`${file} is too large`, `A recording has ${MOST_BYTES} bytes at most.`);
}
