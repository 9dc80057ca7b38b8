/** A real engine process and this process at the other end of its Unix socket, as a hoster would be. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FrameReader, encodeFrameInPieces } from '@cabstand/engine';
import type { Frame, RecordItem, ToEngine } from '@cabstand/engine';

const ENTRY = path.join(
  path.dirname(require.resolve('@cabstand/engine/package.json')),
  'dist/process.js',
);

/** Hears all frames that came at once. */
type Listener = (frames: readonly Frame[]) => void;

export class BenchEngine implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #server: Server;
  readonly #folder: string;
  readonly #exited: Promise<void>;
  readonly #listeners = new Set<Listener>();
  #sequence = 0;

  private constructor(child: ChildProcess, socket: Socket, server: Server, folder: string) {
    this.#child = child;
    this.#socket = socket;
    this.#server = server;
    this.#folder = folder;
    this.#exited = new Promise((resolve) => child.once('exit', () => resolve()));
    const reader = new FrameReader();
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      const frames = reader.push(bytes);
      for (const listener of this.#listeners) listener(frames);
    });
  }

  /** @param folder of the module that it serves */
  static async start(folder: string): Promise<BenchEngine> {
    const own = mkdtempSync(path.join(tmpdir(), 'cabstand-bench-'));
    const socketPath = path.join(own, 'socket');
    const server = createServer();
    const connected = new Promise<Socket>((resolve) => server.once('connection', resolve));
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    const child = spawn(process.execPath, [ENTRY, '--socket', socketPath], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const engine = new BenchEngine(child, await connected, server, own);
    const answer = engine.until((frame) => frame.type === 'LOADED' || frame.type === 'FAILED');
    engine.send({
      ...{ type: 'LOAD', folder, version: '1', provider: 'cpu', threads: 1, nice: 0 },
      ...{ verify: false, maxBatch: 1, maxSequences: 4 },
    });
    const loaded = await answer;
    if (loaded.type === 'FAILED') throw new Error(loaded.message);
    return engine;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  send(frame: ToEngine): void {
    for (const piece of encodeFrameInPieces(frame)) this.#socket.write(piece);
  }

  /** Calls back for all that comes, until what it gave is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async until(found: (frame: Frame) => boolean): Promise<Frame> {
    return await new Promise((resolve) => {
      const stop = this.listen((frames) => {
        const frame = frames.find(found);
        if (frame === undefined) return;
        stop();
        resolve(frame);
      });
    });
  }

  /** Starts a session with credit for so many records; its number. */
  begin(records: number, parameters: Readonly<Record<string, unknown>> = {}): number {
    const sequence = (this.#sequence += 1);
    this.send({ type: 'OPEN', sequence, priority: 0 });
    this.send({ type: 'CREDITS', credits: [{ sequence, records, bytes: 2 ** 31 }] });
    const given = { turn: 0, prompt: '', parameters, inputs: [], live: false };
    this.send({ type: 'TURN', sequence, ...given });
    return sequence;
  }

  /** Stops a session and resolves once it is over. */
  async end(sequence: number): Promise<void> {
    const over = this.until(
      (frame) =>
        frame.type === 'STEP' &&
        frame.items.some((item) => item.kind === 'end' && item.sequence === sequence),
    );
    this.send({ type: 'STOP', sequence, reason: 'stopped', graceMs: 10_000 });
    await over;
    this.send({ type: 'CLOSE', sequence });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.#exited;
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export function recordsOf(frames: readonly Frame[]): RecordItem[] {
  return frames.flatMap((frame) =>
    frame.type === 'STEP' ? frame.items.flatMap((i) => (i.kind === 'record' ? [i] : [])) : [],
  );
}
