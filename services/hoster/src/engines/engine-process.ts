import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { CabstandError } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import { FrameReader, PROTOCOL_VERSION, encodeFrame } from '@cabstand/engine';
import type { Frame, FromEngine, HelloFrame } from '@cabstand/engine';
import type { EngineDeath, EngineLog } from './observer';
import type { ResolvedEngineOptions } from './options';
import { Outbox } from './outbox';
import { folderError } from './socket-folder';
import type { SocketFolder } from './socket-folder';

export interface EngineExit {
  readonly cause: EngineDeath | 'stopped';
  /** What its sequences get. */
  readonly error: CabstandError;
}

export interface EngineProcessDeps {
  readonly options: ResolvedEngineOptions;
  readonly folder: SocketFolder;
  readonly clock: Clock;
  readonly log: EngineLog;
}

/** How long a dead process's last frames may take to arrive, or a closed socket's process to exit. */
const LINGER_MS = 200;
const LONGEST_LINE = 2_000;

/** One engine process from its start to its exit. Never restarted: that is a new one. */
export class EngineProcess {
  readonly pid: number;
  readonly hello: HelloFrame;
  readonly outbox: Outbox;
  /** Resolves once, when the process is gone and all it sent was handled. */
  readonly exited: Promise<EngineExit>;
  readonly #link: Link;

  private constructor(link: Link, hello: HelloFrame, outbox: Outbox) {
    this.#link = link;
    this.pid = link.pid;
    this.hello = hello;
    this.outbox = outbox;
    this.exited = link.exited;
  }

  /** Starts the process and waits for its HELLO. Throws ENGINE_CRASHED or MODEL_FAILED. */
  static async start(deps: EngineProcessDeps, signal: AbortSignal): Promise<EngineProcess> {
    const { options, folder, clock, log } = deps;
    const path = await folder.socketPath();
    const server = await listen(path);
    let link: Link | undefined;
    try {
      link = new Link(options, path, clock, log);
      const started = link;
      const hello = await new Promise<HelloFrame>((resolve, reject) => {
        const timer = clock.setTimer(() => {
          reject(
            new CabstandError(
              'ENGINE_CRASHED',
              `the engine said nothing within ${options.helloTimeoutMs} ms of its start`,
              { metadata: { cause: 'hello_timeout' } },
            ),
          );
        }, options.helloTimeoutMs);
        const onAbort = (): void => {
          reject(CabstandError.from(signal.reason, 'CANCELLED'));
        };
        signal.addEventListener('abort', onAbort, { once: true });
        const done = (): void => {
          timer.cancel();
          signal.removeEventListener('abort', onAbort);
        };
        started.onFrame = (frame) => {
          done();
          if (frame.type === 'HELLO' && frame.protocol === PROTOCOL_VERSION) resolve(frame);
          else reject(wrongHello(frame));
        };
        void started.exited.then((exit) => {
          done();
          reject(exit.error);
        });
        server.once('connection', (socket) => {
          server.close();
          started.attach(socket);
        });
        if (signal.aborted) onAbort();
      });
      const outbox = new Outbox(link.socket, {
        maxBytes: options.maxOutgoingBytes,
        encode: encodeFrame,
      });
      return new EngineProcess(link, hello, outbox);
    } catch (error) {
      const typed = CabstandError.from(error);
      link?.kill('load', typed);
      await link?.exited;
      throw typed;
    } finally {
      server.close();
    }
  }

  set onFrame(handler: (frame: FromEngine) => void) {
    this.#link.onFrame = handler;
  }

  /** Kills it at once; its exit carries `error`. */
  kill(cause: EngineDeath, error: CabstandError): void {
    this.outbox.close();
    this.#link.kill(cause, error);
  }

  /** Asks it to stop, and kills it when it does not. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#link.stopping = true;
    this.outbox.send({ type: 'SHUTDOWN' });
    this.outbox.flush();
    this.outbox.close();
    const { clock, options } = this.#link;
    const timer = clock.setTimer(() => {
      this.#link.signal('SIGKILL');
    }, options.stopMs);
    await this.exited;
    timer.cancel();
  }
}

/** The child and its socket, and what their ends add up to. */
class Link {
  readonly pid: number;
  readonly exited: Promise<EngineExit>;
  readonly options: ResolvedEngineOptions;
  readonly clock: Clock;
  onFrame: (frame: FromEngine) => void = () => undefined;
  stopping = false;
  readonly #child: ChildProcess;
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
    this.#child = spawn(program, [...args, '--socket', path], {
      env: engineEnvironment(process.env),
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own: Ctrl-C in a terminal is for main, which stops engines in order.
      detached: true,
    });
    this.pid = this.#child.pid ?? 0;
    this.#child.once('error', (error) => {
      this.#killed ??= {
        cause: 'exited',
        error: new CabstandError(
          'MODEL_FAILED',
          `the engine's program cannot be started: ${error.message}`,
          { metadata: { program }, cause: error },
        ),
      };
      this.#onExit(null, null);
    });
    this.#child.once('exit', (code, signal) => {
      this.#onExit(code, signal);
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      if (stream !== null)
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
    const reader = new FrameReader();
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
    return {
      cause: this.stopping ? 'stopped' : 'exited',
      error: new CabstandError('ENGINE_CRASHED', `the model's engine ended (${how})`, {
        metadata: {
          cause: 'exited',
          ...(code === null ? {} : { exit_code: String(code) }),
          ...(signal === null ? {} : { signal }),
        },
      }),
    };
  }
}

/** Engines compute; keys and secrets in main's settings are not theirs. */
function engineEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !name.startsWith('CABSTAND_')),
  );
}

const FROM_ENGINE: ReadonlySet<string> = new Set<FromEngine['type']>([
  'HELLO',
  'PROGRESS',
  'LOADED',
  'FAILED',
  'STEP',
  'STATS',
]);

function fromEngine(frame: Frame): FromEngine {
  if (FROM_ENGINE.has(frame.type)) return frame as FromEngine;
  throw new CabstandError('INVALID_ARGUMENT', `an engine may not send ${frame.type}`);
}

function wrongHello(frame: FromEngine): CabstandError {
  return frame.type === 'HELLO'
    ? new CabstandError(
        'MODEL_FAILED',
        `the engine speaks frame protocol ${frame.protocol}, this hoster ${PROTOCOL_VERSION}`,
      )
    : new CabstandError('MODEL_FAILED', `the engine began with ${frame.type} instead of HELLO`);
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => reject(folderError(path, error)));
    server.listen(path, () => resolve(server));
  });
}
