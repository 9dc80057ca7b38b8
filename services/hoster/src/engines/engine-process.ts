import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { PROTOCOLS, encodeFrameInPieces, largestFrame, packerFor } from '@cabstand/engine';
import type { FromEngine, HelloFrame } from '@cabstand/engine';
import { Link } from './link';
import type { EngineExit } from './link';
import type { EngineDeath, EngineLog } from './observer';
import type { ResolvedEngineOptions } from './options';
import { Outbox } from './outbox';
import { folderError } from './socket-folder';
import type { SocketFolder } from './socket-folder';

export interface EngineProcessDeps {
  readonly options: ResolvedEngineOptions;
  readonly folder: SocketFolder;
  readonly clock: Clock;
  readonly log: EngineLog;
}

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
          if (frame.type === 'HELLO' && PROTOCOLS.includes(frame.protocol)) resolve(frame);
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
        maxFrameBytes: largestFrame(options.maxMessageBytes),
        encode: (frame) => encodeFrameInPieces(frame, hello.protocol),
        pack: packerFor(hello.protocol),
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

  /**
   * Asks it to stop, and kills it when it does not. Resolves when it is gone.
   *
   * @param graceMs how long a module's code may take to come to its end, before the engine begins to
   */
  async stop(graceMs = 0): Promise<void> {
    this.#link.stopping = true;
    this.outbox.send({ type: 'SHUTDOWN' });
    this.outbox.flush();
    this.outbox.close();
    const { clock, options } = this.#link;
    const timer = clock.setTimer(() => {
      this.#link.signal('SIGKILL');
    }, graceMs + options.stopMs);
    await this.exited;
    timer.cancel();
  }
}

function wrongHello(frame: FromEngine): CabstandError {
  return frame.type === 'HELLO'
    ? new CabstandError(
        'MODEL_FAILED',
        `the engine speaks frame protocol ${frame.protocol}, this hoster ${PROTOCOLS.join(' and ')}`,
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
