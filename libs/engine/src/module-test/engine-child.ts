/** A real engine process of a test's own: frames go to it and come from it, and it may be killed. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CabstandError, toReason } from '@cabstand/core';
import { encodeFrame } from '../frames/codec';
import type { Frame } from '../frames/codec';
import type { LogFrame } from '../frames/module-frames';
import { FrameReader } from '../frames/reader';
import type { LoadFrame, LoadedFrame, StepItem } from '../frames/types';

/** Hears of one sequence, or of the engine's end. */
export interface Listener {
  onItem(item: StepItem): void;
  onGone(error: CabstandError): void;
}

/** Stderr's end is kept, in characters. */
const SAID = 1000;
/** An engine that was told to leave does so within this. */
const LEAVE_MS = 7000;

export class EngineChild implements AsyncDisposable {
  readonly logs: LogFrame[] = [];
  /** Largest so far; 0 as long as nothing is known. */
  rssBytes = 0;
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #exited: Promise<void>;
  readonly #listeners = new Map<number, Listener>();
  #loading: { resolve(loaded: LoadedFrame): void; reject(error: unknown): void } | undefined;
  #onProgress: (stage: string) => void = () => undefined;
  #gone: CabstandError | undefined;
  #said = '';
  #sequence = 0;

  private constructor(child: ChildProcess, socket: Socket) {
    this.#child = child;
    this.#socket = socket;
    const reader = new FrameReader();
    child.stderr?.on('data', (bytes: Buffer) => {
      this.#said = `${this.#said}${bytes.toString()}`.slice(-SAID);
    });
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      try {
        for (const frame of reader.push(bytes)) this.#take(frame);
      } catch (error) {
        this.#end(CabstandError.from(error));
        this.kill();
      }
    });
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        const last = this.#said.trim().split('\n').at(-1) ?? '';
        const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
        const message = `the engine process ended (${how})${last === '' ? '' : `: ${last}`}`;
        this.#end(new CabstandError('ENGINE_CRASHED', message));
        resolve();
      });
    });
  }

  /** @param env added to the process's own, of which nothing of Cabstand's is passed on */
  static async start(env: Readonly<Record<string, string>> = {}): Promise<EngineChild> {
    const folder = await mkdtemp(path.join(tmpdir(), 'cabstand-test-'));
    const server = createServer();
    try {
      const place = path.join(folder, 'socket');
      const connected = new Promise<Socket>((resolve) => server.once('connection', resolve));
      await new Promise<void>((resolve) => server.listen(place, resolve));
      const own = Object.entries(process.env).filter(([name]) => !name.startsWith('CABSTAND_'));
      const child = spawn(process.execPath, [entry(), '--socket', place], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...Object.fromEntries(own), ...env },
      });
      const failed = new Promise<never>((_resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code) =>
          reject(new CabstandError('ENGINE_CRASHED', `the engine did not start: ${code}`)),
        );
      });
      return new EngineChild(child, await Promise.race([connected, failed]));
    } finally {
      server.close();
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** @throws CabstandError that the engine gives for a module that cannot be loaded. */
  async load(
    frame: Omit<LoadFrame, 'type'>,
    onProgress: (stage: string) => void = () => undefined,
  ): Promise<LoadedFrame> {
    this.#onProgress = onProgress;
    return await new Promise<LoadedFrame>((resolve, reject) => {
      this.#loading = { resolve, reject };
      if (this.#gone === undefined) this.send({ type: 'LOAD', ...frame });
      else reject(this.#gone);
    });
  }

  /** A number for one more session. */
  listen(listener: Listener): number {
    this.#sequence += 1;
    this.#listeners.set(this.#sequence, listener);
    if (this.#gone !== undefined) listener.onGone(this.#gone);
    return this.#sequence;
  }

  /** Nothing more is wanted of a session. */
  close(sequence: number): void {
    if (!this.#listeners.delete(sequence)) return;
    this.send({ type: 'CLOSE', sequence });
  }

  send(frame: Frame): void {
    if (this.#gone === undefined) this.#socket.write(encodeFrame(frame));
  }

  /** As a machine's death does: nothing of it is left. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const late = setTimeout(() => this.kill(), LEAVE_MS);
    this.send({ type: 'SHUTDOWN' });
    await this.#exited;
    clearTimeout(late);
    this.#socket.destroy();
  }

  #take(frame: Frame): void {
    switch (frame.type) {
      case 'PROGRESS':
        this.#onProgress(frame.stage);
        return;
      case 'LOADED':
        this.#loading?.resolve(frame);
        return;
      case 'FAILED':
        this.#end(
          new CabstandError(toReason(frame.reason), frame.message, { metadata: frame.metadata }),
        );
        return;
      case 'STATS':
        this.rssBytes = Math.max(this.rssBytes, frame.rssBytes);
        return;
      case 'LOG':
        this.logs.push(frame);
        return;
      case 'STEP':
        for (const item of frame.items) this.#listeners.get(item.sequence)?.onItem(item);
        return;
      default:
    }
  }

  #end(error: CabstandError): void {
    if (this.#gone !== undefined) return;
    this.#gone = error;
    this.#loading?.reject(error);
    for (const listener of this.#listeners.values()) listener.onGone(error);
  }
}

function entry(): string {
  const root = path.dirname(require.resolve('@cabstand/engine/package.json'));
  return path.join(root, 'dist', 'process.js');
}
