import { availableParallelism, totalmem } from 'node:os';
import path from 'node:path';
import { invalid, MIB, MOST_BYTES, MOST_COUNT, MOST_MS, withinLimits } from '@cabstand/core';
import { DEFAULT_MESSAGE_BYTES } from '@cabstand/engine';
import type { CallBy } from '@cabstand/engine';
import type { Limit } from '@cabstand/core';
import type { ModelSignature } from '@cabstand/model';
import type { Sandbox } from './confine';

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
  /** How ONNX Runtime is called. Default auto: by its C API where that works, otherwise by its binding for Node. */
  readonly runtime?: CallBy;
  /** Cores that the engines of this hoster share. Default: those of the machine. */
  readonly cores?: number;
  /** Added to an engine's niceness, 0 to 19. Default 5. */
  readonly nice?: number;
  /** Sessions that may compute at once in one model. Default 1024. */
  readonly sessionsPerModel?: number;
  /** Sequences that may be open at once in one model, those of idle sessions too. Default 16,384. */
  readonly sequencesPerModel?: number;
  /** Bounds the sequences of a model by the bytes of their state. Default 1 GiB. */
  readonly maxStateBytes?: number;
  /** An engine with more resident memory is killed. Default: 80 % of the memory of this machine or container. */
  readonly maxMemoryBytes?: number;
  /**
   * Largest message to and from clients, 1 GiB at most. A model whose checkpoints do not fit into one is refused.
   * Default 16 MiB.
   */
  readonly maxMessageBytes?: number;
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
  /** How long an engine may take to stop by itself, beyond the grace of a module's sessions. Default 2 s. */
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
  /** Share of the busy time that an engine may use to run callers' rows again alone; 0: none. Default 0.01. */
  readonly auditShare?: number;
  /** Folder in which results of verification are kept. Default '': they are not. */
  readonly verificationCache?: string;
  /** Whether engines are confined by what the system has for it. Default auto. */
  readonly sandbox?: Sandbox;
  /** Names of variables that engines get beside those that computing needs. Default: none. */
  readonly environment?: readonly string[];
}

export type ResolvedEngineOptions = Required<EngineOptions>;

type Numbers = Omit<
  ResolvedEngineOptions,
  'command' | 'runtime' | 'verificationCache' | 'sandbox' | 'environment'
>;

/** Of the memory there is: an engine is killed before the kernel chooses a victim, which may be the hoster. */
const MEMORY_SHARE = 0.8;

/**
 * Only tests set `command` and those of these that the configuration has no key for: `maxOutgoingBytes`,
 * `helloTimeoutMs`, `stallSteps`, `firstStepMs`, `silenceMs`, `stopMs`, `maxRestartMs`, `crashWindowMs`
 * and `retryMs`.
 */
export const ENGINE_LIMITS: Readonly<Record<keyof Numbers, Limit>> = {
  spares: [1, 0, 16],
  threads: [1, 1, MOST_COUNT],
  cores: [availableParallelism(), 1, MOST_COUNT],
  nice: [5, 0, 19],
  sessionsPerModel: [1024, 1, MOST_COUNT],
  sequencesPerModel: [16_384, 1, MOST_COUNT],
  maxStateBytes: [1024 * MIB, 1, MOST_BYTES],
  maxMemoryBytes: [Math.floor(machineMemory() * MEMORY_SHARE), 1, MOST_BYTES],
  maxMessageBytes: [DEFAULT_MESSAGE_BYTES, 1, 1024 * MIB],
  maxOutgoingBytes: [256 * MIB, 1, MOST_BYTES],
  helloTimeoutMs: [30_000, 1, MOST_MS],
  loadTimeoutMs: [300_000, 1, MOST_MS],
  stallMs: [2000, 1, MOST_MS],
  stallSteps: [50, 1, MOST_COUNT],
  firstStepMs: [30_000, 1, MOST_MS],
  silenceMs: [10_000, 1, MOST_MS],
  stopMs: [2000, 1, MOST_MS],
  restartMs: [200, 1, MOST_MS],
  maxRestartMs: [10_000, 1, MOST_MS],
  crashes: [5, 1, MOST_COUNT],
  crashWindowMs: [60_000, 1, MOST_MS],
  retryMs: [60_000, 1, MOST_MS],
  auditShare: [0.01, 0, 1, 'share'],
};

/** Fills in defaults and checks numbers. Throws INVALID_ARGUMENT, naming option and value. */
export function resolveEngineOptions(options: EngineOptions = {}): ResolvedEngineOptions {
  const { command = defaultCommand(), verificationCache = '' } = options;
  const { runtime = 'auto', sandbox = 'auto', environment = [] } = options;
  if (command.length === 0 || command[0] === '')
    throw invalid('INVALID_ARGUMENT', 'engines.command', options.command, 'a program to start');
  const numbers = withinLimits(ENGINE_LIMITS, options, 'engines.');
  if (numbers.threads > numbers.cores)
    throw invalid(
      'INVALID_ARGUMENT',
      'engines.threads',
      numbers.threads,
      `at most engines.cores (${numbers.cores})`,
    );
  return { command, runtime, verificationCache, sandbox, environment, ...numbers };
}

/**
 * Sequences that may be open at once in one model, whatever their states take. Sessions of a module end with their
 * only turn: none of them is ever idle.
 */
export function sequencesOf(
  { sessions }: Pick<ModelSignature, 'sessions'>,
  { sessionsPerModel, sequencesPerModel }: Pick<Numbers, 'sessionsPerModel' | 'sequencesPerModel'>,
): number {
  if (sessions !== undefined) return sessionsPerModel;
  return Math.max(sessionsPerModel, sequencesPerModel);
}

/** Memory of the container (its control group, of version 1 or 2) where that is less than the machine's. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

function defaultCommand(): readonly string[] {
  const root = path.dirname(require.resolve('@cabstand/engine/package.json'));
  return [process.execPath, path.join(root, 'dist', 'process.js')];
}
