import { Command, CommanderError } from 'commander';
import type { CliContext } from './context';
import { ExitCode, describeError, exitCodeOf } from './errors';
import { registerChat } from './commands/chat';
import { registerCommand } from './commands/command';
import { registerView } from './commands/view';
import { registerDemo } from './commands/demo';
import { registerDoctor } from './commands/doctor';
import { registerDrain, registerUndrain } from './commands/drain';
import { registerInfer } from './commands/infer';
import { registerInfo } from './commands/info';
import { registerKeys } from './commands/keys/keys';
import { registerLoad, registerUnload } from './commands/load';
import { registerLogs } from './commands/logs';
import { registerModel } from './commands/model';
import { registerModule } from './commands/module';
import { registerNodes } from './commands/nodes';
import { registerServe } from './commands/serve';
import { registerService } from './commands/service';
import { registerTop } from './commands/top';
import { registerUp } from './commands/up';
import { createTerminal } from './terminal';
import type { TerminalStream } from './terminal';
import { version } from './version';

export interface CliStreams {
  readonly stdout: TerminalStream;
  readonly stderr: TerminalStream;
  readonly stdin: NodeJS.ReadStream;
  readonly env: NodeJS.ProcessEnv;
  /** Aborted to end the command. */
  readonly signal: AbortSignal;
}

const EXAMPLES = `
Examples:
  $ cabstand serve model.onnx                               a model of your own
  $ cabstand up --demo                                      a local subnet, and one session per model
  $ cabstand infer --model silero-vad --wav speech.wav      where somebody speaks
  $ cabstand infer --model g2p --text "taxi"                how it is spoken
  $ cabstand chat --model smol                              talk with a language model
  $ cabstand module init waves                              a model whose sessions are your code
  $ cabstand nodes                                          the hosters and their state
  $ cabstand top                                            the whole subnet, live
  $ cabstand doctor                                         what is wrong here, and how to mend it
  $ cabstand demo failover                                  a stream survives the death of its hoster

Exit codes:
  0    done
  1    it was tried and went wrong
  2    wrong usage, configuration or input file: nothing was sent
  3    the subnet refused: the caller's mistake, missing rights, or no room
  4    no router or no hoster could be reached
  130  interrupted by Ctrl-C
`;

/** Runs the command line; answers the exit code and never throws. */
export async function runCli(args: readonly string[], streams: CliStreams): Promise<number> {
  const terminal = createTerminal(streams);
  let code: number = ExitCode.OK;
  const context: CliContext = {
    terminal,
    env: streams.env,
    stdin: streams.stdin,
    exit: (status) => {
      code = status;
    },
  };
  try {
    await createProgram(context, streams).parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
    const status = exitCodeOf(error);
    // Who pressed Ctrl-C knows.
    if (!streams.signal.aborted) terminal.note(`${terminal.noteStyle.red(describeError(error))}\n`);
    return streams.signal.aborted ? ExitCode.INTERRUPTED : status;
  }
}

function createProgram(context: CliContext, streams: CliStreams): Command {
  const program = new Command('cabstand')
    .description('Streaming sessions with ONNX models, from a pool of machines that may fail.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .enablePositionalOptions()
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .showHelpAfterError('(--help explains and gives an example)')
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void streams.stdout.write(text),
      writeErr: (text) => void streams.stderr.write(text),
      getOutHelpWidth: () => context.terminal.columns,
    });
  registerServe(program, context);
  registerUp(program, context);
  registerInfer(program, context);
  registerChat(program, context);
  registerCommand(program, context);
  registerView(program, context);
  registerNodes(program, context);
  registerTop(program, context);
  registerLogs(program, context);
  registerInfo(program, context);
  registerDrain(program, context);
  registerUndrain(program, context);
  registerLoad(program, context);
  registerUnload(program, context);
  registerModel(program, context);
  registerModule(program, context);
  registerKeys(program, context);
  registerDoctor(program, context);
  registerDemo(program, context);
  registerService(program, 'router', context);
  registerService(program, 'hoster', context);
  registerService(program, 'gateway', context);
  return program;
}
