import type { Tracer } from '@opentelemetry/api';
import type { z } from 'zod';
import { CabstandError } from '@cabstand/core';
import { Closers } from './closers';
import { loadConfig } from './config/load';
import type { ConfigProgram } from './config/load';
import { exitCodeOf, logFatal } from './failure';
import { ExitCode } from './exit-code';
import { beginYoung } from './heap';
import { createLogger } from './log';
import type { LogFormat, Logger } from './log';
import { Metrics } from './metrics/metrics';
import { Readiness } from './readiness';
import type { TracingConfig } from './tracing/section';
import { tracingSettings } from './tracing/settings';
import type { Tracing } from './tracing/settings';
import { startTracing } from './tracing/start';

/** What a service gets to start with. */
export interface ServiceContext<T> {
  readonly config: T;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Not ready until `start` has returned. */
  readonly readiness: Readiness;
  /** Register what was opened, in the order of opening: it is closed in the opposite order. */
  readonly closers: Closers;
  /** Makes spans; undefined where nothing is traced. */
  readonly tracer?: Tracer | undefined;
  /** Aborts when the service is told to stop, before anything is closed. */
  readonly stopping: AbortSignal;
  /** Ends the service as failed: something it cannot do without is gone for good. */
  readonly fail: (error: unknown) => void;
  /** Ends the service as done, with exit code 0: `why` says in the log that its work is over. */
  readonly end: (why: string) => void;
}

export interface ServiceProgram<S extends z.ZodObject> extends ConfigProgram<S> {
  /** Short name on log lines and metrics: `hoster`. */
  readonly service: string;
  readonly start: (context: ServiceContext<z.output<S>>) => Promise<void>;
}

/** The parts of `process` that running a service touches. */
export interface ProcessLike {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown };
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** Least level of the settings that this file reads itself. */
interface Common {
  readonly log?: { readonly level: string; readonly format: 'auto' | 'pretty' | 'json' };
  readonly tracing?: TracingConfig;
}

/** Runs a service until it is told to stop, then leaves the process with its exit code. */
export async function runService<S extends z.ZodObject>(
  program: ServiceProgram<S>,
): Promise<never> {
  // grpc-js names servers by IP address; whoever runs a service can do nothing about that.
  process.noDeprecation = true;
  beginYoung();
  const code = await superviseService(program, process as unknown as ProcessLike);
  // Everything was closed; what still holds the event loop must not keep the process.
  process.exit(code);
}

/** As `runService`, but answers the exit code. */
export async function superviseService<S extends z.ZodObject>(
  program: ServiceProgram<S>,
  host: ProcessLike,
): Promise<ExitCode> {
  let config: z.output<S>;
  let warnings: readonly string[];
  try {
    const loaded = loadConfig(program, { argv: host.argv.slice(2), env: host.env });
    if (loaded.kind === 'text') {
      host.stdout.write(loaded.text);
      return ExitCode.OK;
    }
    ({ config, warnings } = loaded);
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    host.stderr.write(`${error.message}\n`);
    return exitCodeOf(error);
  }
  const { log }: Common = config;
  const logger = createLogger({
    name: program.service,
    level: log?.level ?? 'info',
    format: formatFor(log?.format ?? 'auto', host),
  });
  for (const warning of warnings) logger.warn(warning);
  return serve(program, config, logger, host);
}

/** Colours on a terminal only; NO_COLOR (https://no-color.org) and TERM=dumb turn them off. */
function formatFor(wanted: 'auto' | 'pretty' | 'json', { stdout, env }: ProcessLike): LogFormat {
  const terminal = stdout.isTTY === true;
  if (wanted === 'json' || (wanted === 'auto' && !terminal)) return { kind: 'json' };
  const colours = terminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  return { kind: 'pretty', colours };
}

/** Why a service ends. */
type Ending =
  | { readonly kind: 'told'; readonly signal: string }
  | { readonly kind: 'done'; readonly why: string }
  | { readonly kind: 'failed'; readonly error: unknown };

async function serve<S extends z.ZodObject>(
  program: ServiceProgram<S>,
  config: z.output<S>,
  logger: Logger,
  host: ProcessLike,
): Promise<ExitCode> {
  const closers = new Closers(logger);
  const readiness = new Readiness();
  const stopping = new AbortController();
  using watch = watchProcess(host);
  readiness.missing('start', 'still starting');
  let tracing: Tracing | undefined;
  try {
    tracing = await openTracing(config, program.service, logger, host);
  } catch (thrown) {
    logFatal(logger, thrown);
    return exitCodeOf(thrown);
  }
  const metrics = new Metrics(program.service, { exemplars: tracing !== undefined });
  // Added first, closed last: what is open until then has spans.
  if (tracing !== undefined) closers.add('traces', 3000, () => tracing.close());
  closers.add('metrics', 1000, () => {
    metrics.close();
    return Promise.resolve();
  });

  const starting = program
    .start({
      config,
      logger,
      metrics,
      readiness,
      closers,
      tracer: tracing?.tracer,
      stopping: stopping.signal,
      fail: watch.fail,
      end: watch.end,
    })
    .then(
      () => {
        readiness.present('start');
        return watch.ending;
      },
      (error: unknown): Ending => ({ kind: 'failed', error }),
    );
  const ending = await Promise.race([starting, watch.ending]);
  if (ending.kind === 'told') logger.info({ signal: ending.signal }, 'stopping');
  else if (ending.kind === 'done') logger.info({ why: ending.why }, 'stopping');
  else logFatal(logger, ending.error);
  readiness.missing('stop', 'stopping');
  stopping.abort(new CabstandError('DRAINING', 'the service is stopping'));
  const clean = await Promise.race([closers.closeAll(), watch.forced]);
  if (clean === 'forced') logger.error('told twice to stop: leaving without closing');
  // After a failure there is nothing to add to it.
  else if (ending.kind !== 'failed') logger.info({ clean }, 'stopped');
  if (ending.kind === 'failed') return exitCodeOf(ending.error);
  return clean === 'forced' ? ExitCode.FAILURE : ExitCode.OK;
}

/** Undefined where nothing is configured. Throws CONFIG_INVALID. */
async function openTracing(
  { tracing }: Common,
  service: string,
  logger: Logger,
  { env }: ProcessLike,
): Promise<Tracing | undefined> {
  const settings = tracing && tracingSettings(tracing, service, env);
  return settings && (await startTracing(settings, logger));
}

interface Watch extends Disposable {
  readonly ending: Promise<Ending>;
  readonly forced: Promise<'forced'>;
  readonly fail: (error: unknown) => void;
  readonly end: (why: string) => void;
}

/** Signals, a parent that went away, and errors nobody caught. The second signal forces. */
function watchProcess(host: ProcessLike): Watch {
  let settle: (ending: Ending) => void = () => undefined;
  let force = (): void => undefined;
  const ending = new Promise<Ending>((resolve) => {
    settle = resolve;
  });
  const forced = new Promise<'forced'>((resolve) => {
    force = () => resolve('forced');
  });
  let told = false;
  const tell = (signal: string) => (): void => {
    if (told) force();
    told = true;
    settle({ kind: 'told', signal });
  };
  const fail = (error: unknown): void => settle({ kind: 'failed', error });
  const listeners: [string, (...args: unknown[]) => void][] = [
    ['SIGTERM', tell('SIGTERM')],
    ['SIGINT', tell('SIGINT')],
    // A parent that started this process with a channel has gone.
    ['disconnect', () => settle({ kind: 'told', signal: 'disconnect' })],
    ['unhandledRejection', fail],
    ['uncaughtException', fail],
  ];
  for (const [event, listener] of listeners) host.on(event, listener);
  return {
    ending,
    forced,
    fail,
    end: (why) => settle({ kind: 'done', why }),
    [Symbol.dispose]() {
      for (const [event, listener] of listeners) host.off(event, listener);
    },
  };
}
