import type { Command } from 'commander';
import type { CliContext } from '../context';
import { ExitCode } from '../errors';
import { DEFAULT_MODELS } from '../subnet/layout';
import { demoFailover } from './demo-failover';

interface FailoverFlags {
  readonly models: string;
}

/** `cabstand demo`. */
export function registerDemo(program: Command, context: CliContext): void {
  const demo = program
    .command('demo')
    .summary('see what makes this different')
    .description('Demonstrations on a small subnet of their own, which goes with them.');
  demo
    .command('failover')
    .summary('kill the hoster under a stream, and see it go on')
    .description(
      'Starts a router and two hosters on loopback, streams a recording through one session, kills the hoster that serves it with SIGKILL, and compares what came out with a stream that nothing disturbed.',
    )
    .option('--models <dir>', 'model folder with silero-vad', DEFAULT_MODELS)
    .addHelpText(
      'after',
      `
Ends with 0 if the stream went on exactly once, bit for bit; nothing is left behind.

Examples:
  $ cabstand demo failover`,
    )
    .action(async ({ models }: FailoverFlags) => {
      if (!(await demoFailover(context, models))) context.exit(ExitCode.FAILURE);
    });
}
