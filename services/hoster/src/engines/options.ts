import { availableParallelism, totalmem } from 'node:os';
import path from 'node:path';
import { invalid } from '@cabstand/core';

/** How engines are run. Times in milliseconds, sizes in bytes. */
export interface EngineOptions {
  /**
   * Program and arguments that start an engine; `--socket <path>` is appended. Default: this Node with
   * the process of @cabstand/engine.
   */
  readonly command?: readonly string[];
  /** Engine processes kept started without a model, so that a restart need not wait; 0 to 16. Default 1. */
  readonly spares?: number;
  /** Intra-op threads of each engine. Default 1. */
  readonly threads?: number;
  /** Cores that the engines of this hoster share. Default: those this process may use. */
  readonly cores?: number;
  /** Added to an engine's niceness, 0 to 19. Default 5. */
  readonly nice?: number;
  /** Sequences that may be open at once in one model. Default 64. */
  readonly sessionsPerModel?: number;
  /** Bounds the sequences of a model by the bytes of their state. Default 1 GiB. */
  readonly maxStateBytes?: number;
  /** An engine with more resident memory is killed. Default: the memory of this machine or container. */
  readonly maxMemoryBytes?: number;
  /** Bytes that may wait for one engine to read them. Default 256 MiB. */
  readonly maxOutgoingBytes?: number;
  /** From start to HELLO. Default 30 s. */
  readonly helloTimeoutMs?: number;
  /** Longest silence while a model loads and is verified. Default 300 s. */
  readonly loadTimeoutMs?: number;
  /** An engine that has work and sends nothing for this long is killed. Default 2 s. */
  readonly stallMs?: number;
  /** … or for this many times its step time, whichever is longer. Default 50. */
  readonly stallSteps?: number;
  /** The same limit while no step has been measured yet. Default 30 s. */
  readonly firstStepMs?: number;
  /** An engine that sends nothing for this long is killed even if it has no work. Default 10 s. */
  readonly silenceMs?: number;
  /** How long an engine may take to stop by itself. Default 2 s. */
  readonly stopMs?: number;
  /** First delay between restarts (the very first restart is immediate). Default 200 ms. */
  readonly restartMs?: number;
  /** Longest delay between restarts. Default 10 s. */
  readonly maxRestartMs?: number;
  /** Deaths within `crashWindowMs` after which a model counts as failed. Default 5. */
  readonly crashes?: number;
  /** Default 60 s. */
  readonly crashWindowMs?: number;
  /** How often a failed model is tried again. Default 60 s. */
  readonly retryMs?: number;
}

export type ResolvedEngineOptions = Required<EngineOptions>;

const MIB = 1024 * 1024;
/** What may be 0: the most of each. */
const MOST = { nice: 19, spares: 16 } as const;

/** Fills in defaults and checks numbers. Throws INVALID_ARGUMENT, naming option and value. */
export function resolveEngineOptions(options: EngineOptions = {}): ResolvedEngineOptions {
  const resolved: ResolvedEngineOptions = {
    command: options.command ?? defaultCommand(),
    spares: options.spares ?? 1,
    threads: options.threads ?? 1,
    cores: options.cores ?? availableParallelism(),
    nice: options.nice ?? 5,
    sessionsPerModel: options.sessionsPerModel ?? 64,
    maxStateBytes: options.maxStateBytes ?? 1024 * MIB,
    maxMemoryBytes: options.maxMemoryBytes ?? machineMemory(),
    maxOutgoingBytes: options.maxOutgoingBytes ?? 256 * MIB,
    helloTimeoutMs: options.helloTimeoutMs ?? 30_000,
    loadTimeoutMs: options.loadTimeoutMs ?? 300_000,
    stallMs: options.stallMs ?? 2_000,
    stallSteps: options.stallSteps ?? 50,
    firstStepMs: options.firstStepMs ?? 30_000,
    silenceMs: options.silenceMs ?? 10_000,
    stopMs: options.stopMs ?? 2_000,
    restartMs: options.restartMs ?? 200,
    maxRestartMs: options.maxRestartMs ?? 10_000,
    crashes: options.crashes ?? 5,
    crashWindowMs: options.crashWindowMs ?? 60_000,
    retryMs: options.retryMs ?? 60_000,
  };
  if (resolved.command.length === 0 || resolved.command[0] === '')
    throw invalid('INVALID_ARGUMENT', 'engines.command', options.command, 'a program to start');
  for (const name of ['nice', 'spares'] as const)
    if (!Number.isInteger(resolved[name]) || resolved[name] < 0 || resolved[name] > MOST[name])
      throw invalid('INVALID_ARGUMENT', `engines.${name}`, resolved[name], `0 to ${MOST[name]}`);
  for (const [name, value] of Object.entries(resolved))
    if (
      !(name in MOST) &&
      typeof value === 'number' &&
      !(Number.isSafeInteger(value) && value >= 1)
    )
      throw invalid('INVALID_ARGUMENT', `engines.${name}`, value, 'a whole number of at least 1');
  if (resolved.threads > resolved.cores)
    throw invalid(
      'INVALID_ARGUMENT',
      'engines.threads',
      resolved.threads,
      `at most engines.cores (${resolved.cores})`,
    );
  return resolved;
}

/** Memory of the container where there is one, otherwise of the machine. */
function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

function defaultCommand(): readonly string[] {
  const root = path.dirname(require.resolve('@cabstand/engine/package.json'));
  return [process.execPath, path.join(root, 'dist', 'process.js')];
}
