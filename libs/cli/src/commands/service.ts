import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import type { CliContext } from '../context';
import { ExitCode } from '../errors';
import { SERVICE_ADDRESS_IN_USE, servicePath } from '../subnet/service-path';
import type { ServiceName } from '../subnet/service-path';

const SUMMARIES: Readonly<Record<ServiceName, string>> = {
  router: 'run a router: knows which hosters are healthy and hands them out',
  hoster: 'run a hoster: serves the models of a folder',
  gateway: 'run a gateway: streams to plain callers, and goes on when hosters die',
};

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const SIGNAL_NUMBERS: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGKILL: 9,
  SIGTERM: 15,
};

/** `cabstand router`, `hoster` and `gateway`: the services' own programs, flags passed through. */
export function registerService(program: Command, name: ServiceName, context: CliContext): void {
  const summary = SUMMARIES[name];
  program
    .command(`${name} [flags...]`)
    .summary(summary)
    .description(
      `${summary[0]?.toUpperCase() ?? ''}${summary.slice(1)}. All flags go to the ${name} itself.`,
    )
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action(async (flags: string[]) => {
      context.exit(await runService(servicePath(name), flags));
    });
}

/** Runs it with this terminal, hands on signals once each, and answers its exit code. */
async function runService(main: string, flags: readonly string[]): Promise<number> {
  // A group of its own, or a Ctrl-C of the terminal would arrive there twice; and a channel, whose end
  // tells the service that this process is gone.
  const child = spawn(process.execPath, [main, ...flags], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
  });
  const forward = SIGNALS.map((signal) => {
    // Services know no SIGHUP: a terminal that closes stops them as if asked to.
    const listener = (): void => void child.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
    process.on(signal, listener);
    return () => void process.off(signal, listener);
  });
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        resolve(
          code === SERVICE_ADDRESS_IN_USE
            ? ExitCode.USAGE
            : (code ?? 128 + (signal === null ? 0 : (SIGNAL_NUMBERS[signal] ?? 0))),
        ),
      );
    });
  } finally {
    for (const stop of forward) stop();
  }
}
