import { execFile } from 'node:child_process';
import { parse } from 'yaml';
import { CabstandError } from '@cabstand/core';
import { servicePath } from '../subnet/service-path';
import type { ServiceName } from '../subnet/service-path';
import { fail } from './finding';
import type { Finding } from './finding';

const TIMEOUT_MS = 20_000;

/** What doctor looks at in the settings of a service; defaults are filled in where there is one. */
interface Settings {
  readonly listen: string;
  /** Hosters and gateways. */
  readonly advertise?: string;
  readonly rpc: { readonly max_connections: number; readonly max_concurrent_calls: number };
  readonly limits?: Readonly<Record<string, number | undefined>>;
  readonly engines?: Readonly<Record<string, unknown>>;
  readonly auth: { readonly keys?: string; readonly key?: string };
  readonly tls?: { readonly cert?: string };
}

/** A configuration file, as the service reads it. */
export interface ServiceSettings {
  readonly service: ServiceName;
  readonly file: string;
  readonly settings: Settings;
}

/**
 * The settings that a service would start with: it is asked itself, so that they are read as it reads them, with
 * the same variables of the environment. Answers what it says is wrong with them, where it could not start.
 */
export async function readSettings(
  service: ServiceName,
  file: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<ServiceSettings | Finding> {
  const name = `config ${file}`;
  const advice = `\`cabstand ${service} --help\` lists the settings; \`cabstand ${service} --config ${file} --print-config\` shows them as they are read.`;
  try {
    const text = await printed(servicePath(service), file, env, signal);
    return { service, file, settings: parse(text) as Settings };
  } catch (error) {
    signal.throwIfAborted();
    return fail(name, error instanceof Error ? error.message.trim() : String(error), advice);
  }
}

function printed(
  main: string,
  file: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [main, '--config', file, '--print-config'],
      { env, signal, timeout: TIMEOUT_MS, maxBuffer: 4e6 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new CabstandError('CONFIG_INVALID', stderr.trim() || error.message));
      },
    );
  });
}
