import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { UsageError } from '../errors';
import { localMetrics, metricsUrls } from './targets';

/** Flags of commands that ask services for their metrics. */
export interface MetricsFlags {
  readonly metrics?: readonly string[];
  readonly metricsTokenFile?: string;
  readonly data: string;
}

/** Adds them; each may come from the environment as well. */
export function metricsFlags(command: Command): Command {
  return command
    .option(
      '--metrics <host:port>',
      'admin port of a service, https:// before it where that speaks TLS; several with commas (CABSTAND_METRICS; default: those of the local subnet)',
      metricsUrls,
    )
    .option('--metrics-token-file <file>', 'token of the admin ports (CABSTAND_METRICS_TOKEN_FILE)')
    .option('--data <dir>', 'data folder of the local subnet', '.cabstand');
}

/** Pages to ask, and the token for them. Throws a UsageError for what cannot be read. */
export function metricsSource(
  flags: MetricsFlags,
  env: NodeJS.ProcessEnv,
  routers: readonly string[],
): { readonly urls: readonly string[]; readonly token: string | undefined } {
  const named = env['CABSTAND_METRICS'] ?? '';
  return {
    urls: flags.metrics ?? (named === '' ? localMetrics(flags.data, routers) : metricsUrls(named)),
    token: tokenOf(flags.metricsTokenFile ?? env['CABSTAND_METRICS_TOKEN_FILE'] ?? ''),
  };
}

function tokenOf(file: string): string | undefined {
  if (file === '') return undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(
      `--metrics-token-file ${file} cannot be read: ${(error as Error).message}`,
      'It holds the token of admin.token_file of the services.',
    );
  }
}
