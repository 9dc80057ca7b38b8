import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { CabstandError, isOutOfDescriptors } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { EXIT_STALLED, FrameReader, largestFrame } from '@cabstand/engine';
import type { Frame, FromEngine } from '@cabstand/engine';
import { engineEnvironment } from './confine';
import type { EngineDeath, EngineLog } from './observer';
import type { ResolvedEngineOptions } from './options';

export interface EngineExit {
  readonly cause: EngineDeath | 'stopped';
  /** What its sequences get. */
  readonly error: CabstandError;
}

/** How long a dead process's last frames may take to arrive, or a closed socket's process to exit. */
const LINGER_MS = 200;
const LONGEST_LINE = 2_000;

/** The child and its socket, and what their ends add up to. */
export class Link {
  readonly pid: number;
  readonly exited: Promise<EngineExit>;
  readonly options: ResolvedEngineOptions;
  readonly clock: Clock;
  onFrame: (frame: FromEngine) => void = () => undefined;
  stopping = false;
  readonly #child: ChildProcess;
  readonly #maxFrameBytes: number;
  readonly #resolve: (exit: EngineExit) => void;
  #socket: Socket | undefined;
  #killed: EngineExit | undefined;
  #exit: { readonly code: number | null; readonly signal: string | null } | undefined;
  #socketClosed = true;
  #linger: Timer | undefined;

  constructor(options: ResolvedEngineOptions, path: string, clock: Clock, log: EngineLog) {
    this.options = options;
    this.clock = clock;
    const resolver: { resolve: (exit: EngineExit) => void } = { resolve: () => undefined };
    this.exited = new Promise((resolve) => {
      resolver.resolve = resolve;
    });
    this.#resolve = resolver.resolve;
    const [program = process.execPath, ...args] = options.command;
    this.#maxFrameBytes = largestFrame(options.maxMessageBytes);
    args.push('--socket', path, '--max-frame-bytes', String(this.#maxFrameBytes));
    this.#child = spawn(program, args, {
      env: engineEnvironment(process.env, options.environment),
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own: Ctrl-C in a terminal is for main, which stops engines in order.
      detached: true,
    });
    this.pid = this.#child.pid ?? 0;
    this.#child.once('error', (error: NodeJS.ErrnoException) => {
      this.#killed ??= { cause: 'exited', error: notStarted(program, error) };
      this.#onExit(null, null);
    });
    this.#child.once('exit', (code, signal) => {
      this.#onExit(code, signal);
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      // Undefined where the process could not be started, whatever the types say.
      if (stream)
        createInterface({ input: stream }).on('line', (line) => {
          log.warn({ engine_pid: this.pid }, `engine: ${line.slice(0, LONGEST_LINE)}`);
        });
  }

  get socket(): Socket {
    if (this.#socket === undefined) throw new CabstandError('INTERNAL', 'no engine has connected');
    return this.#socket;
  }

  attach(socket: Socket): void {
    this.#socket = socket;
    this.#socketClosed = false;
    const reader = new FrameReader({ maxFrameBytes: this.#maxFrameBytes });
    socket.on('data', (bytes: Buffer) => {
      if (this.#killed !== undefined) return;
      try {
        for (const frame of reader.push(bytes)) this.onFrame(fromEngine(frame));
      } catch (error) {
        this.kill(
          'protocol',
          new CabstandError('ENGINE_CRASHED', 'the engine broke the frame protocol', {
            metadata: { cause: 'protocol' },
            cause: error,
          }),
        );
      }
    });
    // Whatever went wrong, 'close' follows.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#socketClosed = true;
      if (this.#exit !== undefined) this.#finish();
      // It has let go of us: it is about to exit, or it is of no use.
      else this.#lingerThen(() => this.signal('SIGKILL'));
    });
  }

  kill(cause: EngineDeath, error: CabstandError): void {
    if (this.#exit !== undefined) return;
    this.#killed ??= { cause, error };
    this.signal('SIGKILL');
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  #onExit(code: number | null, signal: string | null): void {
    if (this.#exit !== undefined) return;
    this.#exit = { code, signal };
    if (this.#socketClosed) this.#finish();
    // Its last records may still be in the socket.
    else this.#lingerThen(() => this.#finish());
  }

  #lingerThen(action: () => void): void {
    this.#linger?.cancel();
    this.#linger = this.clock.setTimer(action, LINGER_MS);
  }

  #finish(): void {
    this.#linger?.cancel();
    this.#socket?.destroy();
    this.#resolve(this.#killed ?? this.#ownExit());
  }

  #ownExit(): EngineExit {
    const { code, signal } = this.#exit ?? { code: null, signal: null };
    const how = signal === null ? `exit code ${code ?? 'unknown'}` : `signal ${signal}`;
    const gaveUp = code === EXIT_STALLED;
    return {
      cause: this.stopping ? 'stopped' : 'exited',
      error: new CabstandError(
        gaveUp ? 'ENGINE_STALLED' : 'ENGINE_CRASHED',
        `the model's engine ended (${how})`,
        {
          metadata: {
            cause: gaveUp ? 'silent' : 'exited',
            ...(code === null ? {} : { exit_code: String(code) }),
            ...(signal === null ? {} : { signal }),
          },
        },
      ),
    };
  }
}

function notStarted(program: string, error: NodeJS.ErrnoException): CabstandError {
  if (isOutOfDescriptors(error)) return CabstandError.from(error);
  return new CabstandError(
    'MODEL_FAILED',
    // Callers hear of it: not where programs lie here, which the cause says.
    `the engine's program cannot be started: ${error.code ?? error.name}`,
    { metadata: { program: basename(program) }, cause: error },
  );
}

const FROM_ENGINE: ReadonlySet<string> = new Set<FromEngine['type']>([
  'HELLO',
  'PROGRESS',
  'LOADED',
  'FAILED',
  'STEP',
  'STATS',
  'AUDIT',
  'LOG',
]);

function fromEngine(frame: Frame): FromEngine {
  if (FROM_ENGINE.has(frame.type)) return frame as FromEngine;
  throw new CabstandError('INVALID_ARGUMENT', `an engine may not send ${frame.type}`);
}
