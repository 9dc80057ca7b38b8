import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { addAbortSignal } from 'node:stream';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { list } from '../arguments';
import type { CliContext } from '../context';
import { UsageError } from '../errors';
import { wanted } from '../logs/filter';
import type { LogFilter } from '../logs/filter';
import { linesOf } from '../logs/lines';
import { merged } from '../logs/merge';
import type { Source, SourcedLine } from '../logs/merge';
import { LEVELS } from '../logs/parse';
import type { Level } from '../logs/parse';

interface LogsFlags {
  readonly level?: Level;
  readonly service?: readonly string[];
  readonly grep?: RegExp;
  readonly session?: string;
  readonly data: string;
}

/** `cabstand logs`. */
export function registerLogs(program: Command, context: CliContext): void {
  program
    .command('logs [files...]')
    .summary('logs of services as people read them')
    .description(
      'Reads the JSON lines that services log, from files or standard input, and prints time, level, service, message and fields. Several files are put in the order of their times. Lines of anything else go through as they are. Without files, and where nothing comes in, it reads those of `cabstand up`.',
    )
    .option('--level <level>', `only this severity and above: ${LEVELS.join(', ')}`, level)
    .option(
      '--service <name>',
      'only of this service (router, hoster …) or file; several times',
      list,
    )
    .option('--grep <pattern>', 'only lines in which this regular expression is found', pattern)
    .option('--session <id>', 'only lines about this session')
    .option('--data <dir>', 'data folder of the local subnet', '.cabstand')
    .addHelpText(
      'after',
      `
Examples:
  $ cabstand logs
  $ cabstand logs --level warn /var/log/cabstand/*.log
  $ journalctl -fu cabstand-hoster -o cat | cabstand logs --session ride-7
  $ docker compose logs --no-color | cabstand logs --grep 'changed state|drain'`,
    )
    .action((files: string[], flags: LogsFlags) => logs(context, files, flags));
}

async function logs(
  context: CliContext,
  named: readonly string[],
  flags: LogsFlags,
): Promise<void> {
  const { terminal } = context;
  // It brings what services need, and no other command does.
  const { prettyLine } = await import('@cabstand/service');
  const filter: LogFilter = {
    ...(flags.level === undefined ? {} : { level: flags.level }),
    ...(flags.service === undefined ? {} : { services: flags.service }),
    ...(flags.grep === undefined ? {} : { pattern: flags.grep }),
    ...(flags.session === undefined ? {} : { session: flags.session }),
  };
  const shown = ({ line, source }: SourcedLine, colours: boolean): string => {
    if (line.kind === 'other') return `${terminal.interactive ? harmless(line.line) : line.line}\n`;
    const later = { name: source ?? line.name };
    return line.lead + prettyLine(line.json, { colours, later });
  };
  for await (const each of merged(sourcesOf(context, named, flags.data)))
    if (wanted(filter, each, shown(each, false)))
      await terminal.out(shown(each, terminal.style.coloured));
}

function sourcesOf(
  { stdin, terminal: { signal } }: CliContext,
  named: readonly string[],
  data: string,
): Source[] {
  // What is read ends with the command, though nothing may come for long.
  if (named.length === 0 && !stdin.isTTY)
    return [{ name: undefined, lines: linesOf(addAbortSignal(signal, stdin)) }];
  const files = named.length === 0 ? localLogs(data) : named;
  return files.map((file) => {
    if (!existsSync(file)) throw new UsageError(`${file}: there is no such file`);
    if (statSync(file).isDirectory())
      throw new UsageError(`${file} is a folder`, `Name its files: ${path.join(file, '*.log')}`);
    const name = files.length === 1 ? undefined : path.basename(file).replace(/\.log$/, '');
    return { name, lines: linesOf(createReadStream(file, { signal })) };
  });
}

function localLogs(data: string): string[] {
  const folder = path.join(data, 'logs');
  const names = existsSync(folder) ? readdirSync(folder).filter((it) => it.endsWith('.log')) : [];
  if (names.length === 0)
    throw new UsageError(
      `nothing to read: ${folder} has no logs of a local subnet`,
      'Name files, or pipe the output of a service into this.',
    );
  return names.sort().map((name) => path.join(folder, name));
}

/** Text from elsewhere cannot move the cursor of a terminal. */
function harmless(line: string): string {
  return line.replace(/(?!\t)\p{Cc}/gu, '\ufffd');
}

function level(value: string): Level {
  const found = LEVELS.find((one) => one === value);
  if (found === undefined) throw new InvalidArgumentError(`Expected one of ${LEVELS.join(', ')}.`);
  return found;
}

function pattern(value: string): RegExp {
  try {
    return new RegExp(value, 'u');
  } catch (error) {
    throw new InvalidArgumentError(`Not a regular expression: ${(error as Error).message}`);
  }
}
