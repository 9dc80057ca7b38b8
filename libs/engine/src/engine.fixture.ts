/** A real engine process over a real Unix socket, for tests. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor } from '@cabstand/tensor';
import { encodeFrame } from './frames/codec';
import type { Frame } from './frames/codec';
import { FrameReader } from './frames/reader';
import type {
  FailedFrame,
  LoadFrame,
  LoadedFrame,
  OpenFrame,
  StepItem,
  TurnFrame,
} from './frames/types';

const ENTRY = join(__dirname, '../dist/process.js');
const REPOSITORY = join(__dirname, '../../..');
export const BUNDLED = join(REPOSITORY, 'models');
export const SHARED = join(REPOSITORY, 'test/models');
export const OWN = join(__dirname, '../fixtures/models');

export class Engine implements AsyncDisposable {
  readonly frames: Frame[] = [];
  readonly items: StepItem[] = [];
  /** Rows of each step. */
  readonly batches: number[] = [];
  readonly exited: Promise<number | null>;
  #waiting: (() => void)[] = [];

  private constructor(
    readonly child: ChildProcess,
    readonly socket: Socket,
    readonly server: Server,
    readonly folder: string,
  ) {
    const reader = new FrameReader();
    this.exited = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      for (const frame of reader.push(bytes)) {
        this.frames.push(frame);
        if (frame.type === 'STEP') {
          this.items.push(...frame.items);
          if (frame.batch > 0) this.batches.push(frame.batch);
        }
      }
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  /** `env`: of the process. */
  static async start(env: NodeJS.ProcessEnv = process.env): Promise<Engine> {
    if (!existsSync(ENTRY))
      throw new Error(`${ENTRY} is missing: build first (npx tsc -b libs/engine)`);
    const folder = mkdtempSync(join(tmpdir(), 'cabstand-engine-'));
    const path = join(folder, 'socket');
    const server = createServer();
    const connected = new Promise<Socket>((resolve) => server.once('connection', resolve));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const child = spawn(process.execPath, [ENTRY, '--socket', path], { stdio: 'ignore', env });
    return new Engine(child, await connected, server, folder);
  }

  send(frame: Frame): void {
    this.socket.write(encodeFrame(frame));
  }

  async load(folder: string, options: Partial<LoadFrame> = {}): Promise<LoadedFrame | FailedFrame> {
    this.send({
      type: 'LOAD',
      folder,
      version: '1',
      provider: 'cpu',
      threads: 1,
      nice: 0,
      verify: false,
      known: { batchClass: 'exact' },
      maxBatch: 16,
      maxSequences: 64,
      ...options,
    });
    const answer = (): Frame | undefined =>
      this.frames.find(({ type }) => type === 'LOADED' || type === 'FAILED');
    await this.until(() => answer() !== undefined);
    return answer() as LoadedFrame | FailedFrame;
  }

  open(
    sequence: number,
    records = 1_000_000,
    bytes = 1e12,
    options: Partial<OpenFrame> = {},
  ): void {
    this.send({ type: 'OPEN', sequence, priority: 0, ...options });
    this.send({ type: 'CREDITS', credits: [{ sequence, records, bytes }] });
  }

  turn(sequence: number, inputs: readonly Tensor[], options: Partial<TurnFrame> = {}): void {
    this.send({
      type: 'TURN',
      sequence,
      turn: 0,
      prompt: '',
      parameters: {},
      inputs,
      live: false,
      ...options,
    });
  }

  /** Resolves once the condition holds; it is looked at whenever frames came. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition())
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
  }

  of(sequence: number): StepItem[] {
    return this.items.filter((item) => item.sequence === sequence);
  }

  chunks(sequence: number): Buffer[] {
    return this.of(sequence).flatMap((item) => (item.kind === 'chunk' ? [item.chunk] : []));
  }

  async ended(sequence: number, turn = 0): Promise<Extract<StepItem, { kind: 'end' }>> {
    const find = (): Extract<StepItem, { kind: 'end' }> | undefined =>
      this.items.find(
        (item): item is Extract<StepItem, { kind: 'end' }> =>
          item.kind === 'end' && item.sequence === sequence && item.turn === turn,
      );
    await this.until(() => find() !== undefined);
    return find() as Extract<StepItem, { kind: 'end' }>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.exited;
    await new Promise((resolve) => this.server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
