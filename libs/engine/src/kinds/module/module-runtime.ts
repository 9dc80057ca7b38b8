/** Serves a module: keeps the socket, the flags and the places while the author's thread computes. */
import { CabstandError, every, systemClock } from '@cabstand/core';
import type { LogFrame, StopReason } from '../../frames/module-frames';
import type { CreditsFrame, LoadedFrame, OpenFrame } from '../../frames/types';
import { LARGE_BYTES } from '../../output/spare-memory';
import type { Runtime, RuntimeHost, RuntimeStats, WorkFrame } from '../../runtime/runtime';
import { AuthorWorker } from './author-worker';
import { Flags } from './flags';
import type { SessionFlags } from './flags';
import type { FromThread, ThreadData } from './messages';
import { commandOf, openOf, partOf, turnOf } from './thread-messages';
import { LOOK_MS, Watch } from './watch';

export interface ModuleOptions {
  readonly thread: Omit<ThreadData, 'flags'>;
  readonly maxSequences: number;
  /** One session at a time: nothing of the last one's code may go on. */
  readonly exclusive: boolean;
  readonly stopGraceSeconds: number;
  /** Longest time that an author's code may compute without a sign of life. */
  readonly silentSeconds: number;
  /** JavaScript heap of the author's thread, in MiB; typed arrays do not count. */
  readonly heapMb: number;
  readonly loaded: Omit<LoadedFrame, 'loadSeconds' | 'module'>;
}

interface Place {
  readonly number: number;
  readonly flags: SessionFlags;
  /** `between`: the author waits for the next turn; `closed`: none comes. */
  phase: 'open' | 'between' | 'closed';
}

/** How long an author's `unload` may take. */
const UNLOAD_MS = 5000;

export class ModuleRuntime implements Runtime {
  readonly loaded: LoadedFrame;
  readonly #worker: AuthorWorker;
  readonly #host: RuntimeHost;
  readonly #flags: Flags;
  readonly #graceMs: number;
  readonly #free: number[];
  readonly #places = new Map<number, Place>();
  /** Sessions whose code went on past its grace, and was left alone. */
  #strays = 0;
  readonly #watch: Watch;
  readonly #failed: Promise<never>;
  #fail: (error: CabstandError) => void = () => undefined;
  #calm: (() => void) | undefined;

  private constructor(
    worker: AuthorWorker,
    flags: Flags,
    host: RuntimeHost,
    loaded: LoadedFrame,
    options: ModuleOptions,
  ) {
    const { maxSequences, exclusive, stopGraceSeconds, silentSeconds, heapMb } = options;
    this.loaded = loaded;
    this.#worker = worker;
    this.#flags = flags;
    this.#host = host;
    this.#graceMs = stopGraceSeconds * 1000;
    this.#free = Array.from({ length: maxSequences }, (_, place) => maxSequences - 1 - place);
    this.#failed = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    // It is `run` that tells of it.
    this.#failed.catch(() => undefined);
    this.#watch = new Watch(
      { silentMs: silentSeconds * 1000, graceMs: this.#graceMs, exclusive },
      flags,
      {
        silenced: (sequence, ms) => this.#silenced(sequence, ms),
        revoke: (sequence) => worker.tell({ kind: 'revoke', sequence }),
        giveUp: (sequence) => this.#fail(stalled(`session ${sequence} does not end`)),
        ask: () => worker.tell({ kind: 'ask' }),
        blocked: (ms) => this.#blocked(ms),
      },
    );
    worker.listen({ onMessage: (message) => this.#take(message), onGone: this.#fail }, heapMb);
  }

  /** @throws CabstandError MODULE_FAILED for a module that cannot be used. */
  static async load(
    options: ModuleOptions,
    host: RuntimeHost,
    signal: AbortSignal,
  ): Promise<ModuleRuntime> {
    const begun = performance.now();
    const memory = Flags.allocate(options.maxSequences);
    const { worker, module } = await AuthorWorker.load(
      { ...options.thread, flags: memory },
      options.heapMb,
      (message) => {
        if (message.kind === 'progress') host.send({ type: 'PROGRESS', stage: message.stage });
        else host.send(logOf(message));
      },
      signal,
    );
    const loadSeconds = (performance.now() - begun) / 1000;
    const loaded = { ...options.loaded, loadSeconds, module };
    return new ModuleRuntime(worker, new Flags(memory), host, loaded, options);
  }

  get stats(): RuntimeStats {
    const silent = this.#watch.silent(performance.now());
    return {
      busySeconds: this.#worker.busySeconds,
      sequences: this.#places.size,
      stateBytes: 0,
      // In the author's hands; that he is silent for long is another matter than a step that hangs.
      ready: 0,
      audits: 0,
      auditSeconds: 0,
      ...(silent.length === 0 ? {} : { silent }),
    };
  }

  handle(frame: WorkFrame): void {
    if (frame.type === 'CREDITS') {
      this.#credit(frame);
      return;
    }
    if (frame.type === 'OPEN') {
      this.#open(frame);
      return;
    }
    const { sequence } = frame;
    const place = this.#places.get(sequence);
    if (place === undefined) return;
    switch (frame.type) {
      case 'TURN':
        if (place.phase === 'between') place.flags.forgetStop();
        place.phase = 'open';
        this.#watch.began(sequence, place.flags, performance.now());
        this.#worker.tell(turnOf(frame));
        return;
      case 'INPUT':
        this.#worker.tell(partOf(frame));
        return;
      case 'COMMAND':
        this.#worker.tell(commandOf(frame));
        return;
      case 'SNAPSHOT':
        this.#worker.tell({ kind: 'snapshot', sequence });
        return;
      case 'STOP':
        // It was for the turn that is over.
        if (place.phase === 'open') this.#stop(sequence, frame.reason, frame.graceMs);
        return;
      case 'READERS':
        place.flags.readers = frame;
        return;
      case 'CANCEL':
        if (place.phase === 'open') this.#stop(sequence, 'cancelled', this.#graceMs);
        return;
      case 'CLOSE':
        this.#stop(sequence, 'stopped', this.#graceMs);
        place.phase = 'closed';
        this.#worker.tell({ kind: 'close', sequence });
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const look = every(systemClock, LOOK_MS, () => this.#watch.look(performance.now()));
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    try {
      await Promise.race([aborted, this.#failed]);
    } finally {
      look.cancel();
    }
    await this.unload();
  }

  async unload(): Promise<boolean> {
    for (const [sequence, { phase }] of this.#places)
      if (phase === 'between') this.#stop(sequence, 'evicted', this.#graceMs);
    if (this.#watch.idle) return await this.#worker.unload(UNLOAD_MS);
    for (const sequence of this.#places.keys()) this.#stop(sequence, 'evicted', this.#graceMs);
    const calm = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), this.#graceMs);
      this.#calm = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
    return calm && (await this.#worker.unload(UNLOAD_MS));
  }

  #open(frame: OpenFrame): void {
    const { sequence } = frame;
    // Main keeps to its own limit.
    const number = this.#places.has(sequence) ? undefined : this.#free.pop();
    if (number === undefined) return;
    const flags = this.#flags.at(number);
    flags.clear();
    this.#places.set(sequence, { number, flags, phase: 'open' });
    this.#worker.tell(openOf(frame, number));
  }

  #credit({ credits }: CreditsFrame): void {
    for (const { sequence, records, bytes } of credits) {
      const flags = this.#places.get(sequence)?.flags;
      if (flags === undefined) continue;
      flags.grant(records, bytes);
      if (flags.parked) this.#worker.tell({ kind: 'wake', sequence });
    }
  }

  #stop(sequence: number, reason: StopReason, graceMs: number): void {
    const place = this.#places.get(sequence);
    place?.flags.stop(reason);
    // Its code has time to come to its end, as it has in a turn.
    if (place?.phase === 'between') this.#watch.began(sequence, place.flags, performance.now());
    this.#watch.stopped(sequence, graceMs, performance.now());
    this.#worker.tell({ kind: 'wake', sequence });
  }

  #silenced(sequence: number, ms: number): void {
    const message = `no sign of life from the module for ${(ms / 1000).toFixed(1)} s (limits.silent_seconds): long work without calls of ctx needs ctx.shouldStop() or ctx.progress() in between`;
    this.#host.send({ type: 'LOG', level: 'warn', sequence, message });
    this.#worker.tell({ kind: 'wake', sequence });
  }

  #blocked(ms: number): void {
    const message = `the module blocks its thread for ${(ms / 1000).toFixed(1)} s (limits.silent_seconds), in a timer or a callback, while its sessions wait: its engine is replaced`;
    this.#host.send({ type: 'LOG', level: 'warn', message });
    this.#fail(stalled('its thread does not answer'));
  }

  #take(message: FromThread): void {
    switch (message.kind) {
      case 'frames':
        for (const frame of message.frames) this.#write(frame);
        return;
      case 'log':
        this.#host.send(logOf(message));
        return;
      case 'ended':
        this.#over(message.sequence);
        if (message.stray) this.#strayed(message.sequence);
        return;
      case 'turnOver':
        this.#turnOver(message.sequence);
        return;
      case 'freed':
        this.#over(message.sequence);
        this.#freed(message.sequence);
        return;
      case 'progress':
      case 'loaded':
      case 'failed':
      case 'unloaded':
    }
  }

  #write({ buffer: memory, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): void {
    const giveBack = (): void => this.#worker.tell({ kind: 'memory', memory }, [memory]);
    const large = memory.byteLength >= LARGE_BYTES;
    this.#host.write(Buffer.from(memory, byteOffset, byteLength), large ? giveBack : undefined);
  }

  #over(sequence: number): void {
    this.#watch.ended(sequence);
    if (this.#watch.idle) this.#calm?.();
  }

  #turnOver(sequence: number): void {
    const place = this.#places.get(sequence);
    // A session that was closed meanwhile comes to its end.
    if (place?.phase !== 'open' || place.flags.stopped === 'evicted') return;
    place.phase = 'between';
    place.flags.forgetStop();
    this.#over(sequence);
  }

  #strayed(sequence: number): void {
    this.#strays += 1;
    const message =
      'the module went on past the grace of a stop: its engine is replaced when it is idle';
    this.#host.send({ type: 'LOG', level: 'warn', sequence, message, stray: true });
  }

  #freed(sequence: number): void {
    const place = this.#places.get(sequence);
    if (place === undefined) return;
    this.#places.delete(sequence);
    this.#free.push(place.number);
    if (this.#strays > 0 && this.#places.size === 0)
      this.#fail(stalled(`${this.#strays} sessions are over, and their code goes on`));
  }
}

function logOf(line: Extract<FromThread, { kind: 'log' }>): LogFrame {
  const { level, message, sequence } = line;
  return { type: 'LOG', level, message, ...(sequence === undefined ? {} : { sequence }) };
}

function stalled(why: string): CabstandError {
  return new CabstandError('ENGINE_STALLED', `the engine is given up: ${why}`);
}
