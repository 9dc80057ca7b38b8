/** All sessions of a module, side by side in one thread. What passes between it and main are messages. */
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { CabstandError } from '@cabstand/core';
import { resolveParameters } from '@cabstand/model';
import type { ParameterSpec } from '@cabstand/model';
import type { LogLevel } from '../../frames/module-frames';
import { SpareMemory } from '../../output/spare-memory';
import { StepWriter } from '../../output/step-writer';
import { LogLimit } from './author-log';
import type { Author } from './author';
import { Context } from './context';
import { SessionOver, failureOf, publicMessage, stackOf, thrownIn } from './failure';
import { Flags } from './flags';
import type { SessionFlags } from './flags';
import type { FromThread, ThreadData, ToThread, Turn } from './messages';
import { ride } from './ride';
import { SavedFormat, fresh } from './saved';
import type { Saved } from './saved';
import { schemaOf } from './schema';
import { ModuleSession } from './session';
import type { SessionHost } from './session';
import { ModuleSnapshotFormat } from './snapshot';

/** Main's side. */
export interface Port {
  /** What has come and was not taken yet. */
  receive(): ToThread | undefined;
  tell(message: FromThread, transfer?: readonly ArrayBuffer[]): void;
}

const SLICE_MS = 5;

/** Whose code runs. Only one: each that was ever used costs every await of the process something. */
const running = new AsyncLocalStorage<ModuleSession>();

type Open = Extract<ToThread, { kind: 'open' }>;

interface Seat {
  readonly open: Open;
  readonly flags: SessionFlags;
  session: ModuleSession | undefined;
  /** Its code has come to its end; the error where that was between two turns. */
  ended: boolean;
  fault: CabstandError | undefined;
}

export class AuthorThread {
  readonly #port: Port;
  readonly #outside = new AsyncResource('AuthorThread');
  readonly #author: Author;
  readonly #parameters: readonly ParameterSpec[];
  readonly #flags: Flags;
  readonly #memory = new SpareMemory();
  readonly #out: StepWriter;
  readonly #saved: SavedFormat;
  readonly #host: SessionHost;
  readonly #seats = new Map<number, Seat>();
  readonly #logLimit = new LogLimit();
  readonly #sliceMs: number;
  #sliceBegan = performance.now();

  /**
   * @param sliceMs a loop that never waits lets the others in after this
   * @throws CabstandError MODULE_FAILED for a message whose schema cannot be used
   */
  constructor(data: ThreadData, author: Author, port: Port, sliceMs = SLICE_MS) {
    this.#sliceMs = sliceMs;
    this.#port = port;
    this.#author = author;
    this.#parameters = data.parameters;
    this.#flags = new Flags(data.flags);
    this.#out = new StepWriter(data.messageBytes, this.#memory);
    const format = new ModuleSnapshotFormat(data.digest, data.limits.stateBytes);
    this.#saved = new SavedFormat(format, author, (message) => this.log('warn', message));
    this.#host = {
      data,
      out: this.#out,
      outputs: new Map(data.outputs.map((output) => [output.name, output])),
      messages: new Map(
        Object.entries(data.messages).map(([name, schema]) => [
          name,
          schemaOf(`message ${name}`, schema, 'input'),
        ]),
      ),
      commands: author.commands,
      contextOf: (session, scope) => new Context(session, scope),
      save: (saved, within) => this.#saved.write(saved, within),
      breathe: () => this.#breathe(),
      flush: () => this.#flush(),
      turnOver: (sequence) => this.#port.tell({ kind: 'turnOver', sequence }),
      log: (level, message, sequence) => this.log(level, message, sequence),
    };
  }

  take(message: ToThread): void {
    if (message.kind === 'unload') {
      void this.#unload();
      return;
    }
    if (message.kind === 'memory') {
      this.#memory.give(message.memory);
      return;
    }
    if (message.kind === 'ask') {
      this.#flags.answer();
      return;
    }
    if (message.kind === 'open') {
      const flags = this.#flags.at(message.place);
      this.#seats.set(message.sequence, {
        open: message,
        flags,
        session: undefined,
        ended: false,
        fault: undefined,
      });
      return;
    }
    const seat = this.#seats.get(message.sequence);
    if (message.kind === 'close') {
      if (seat?.session === undefined) this.#free(message.sequence);
      else seat.session.close();
      return;
    }
    if (message.kind === 'turn') {
      if (seat !== undefined) this.#begin(seat, message.turn);
      return;
    }
    const session = seat?.session;
    if (session === undefined) return;
    // What is for another turn was under way when that ended.
    if ('turn' in message && (session.between || message.turn !== session.turn.number)) return;
    switch (message.kind) {
      case 'part':
        session.addPart(message.part);
        return;
      case 'command':
        session.addCommand(message);
        return;
      case 'snapshot':
        session.wantSnapshot();
        return;
      case 'wake':
        session.wake();
        return;
      case 'revoke':
        session.revoke();
    }
  }

  /** Something was thrown that nobody caught: it ends the session whose code it was. */
  stray(caught: unknown): void {
    const session = running.getStore();
    const thrown = session === undefined ? caught : thrownIn(session, caught);
    if (thrown instanceof SessionOver) return;
    this.log('error', `not caught: ${stackOf(thrown)}`, session?.id);
    if (CabstandError.is(thrown)) session?.fail(thrown);
    else
      session?.fail(
        new CabstandError('MODULE_FAILED', publicMessage(thrown), {
          metadata: { problem: 'threw' },
        }),
      );
  }

  /** @param sequence default: of the session whose code runs */
  log(level: LogLevel, message: string, sequence = running.getStore()?.id): void {
    const admitted = this.#logLimit.admit(message);
    if (admitted === undefined) return;
    const line = { kind: 'log', level, message: admitted } as const;
    this.#port.tell(sequence === undefined ? line : { ...line, sequence });
  }

  #begin(seat: Seat, given: Turn): void {
    const { sequence, session: name } = seat.open;
    try {
      if (seat.session?.between === false)
        throw new CabstandError('SESSION_BUSY', `turn ${seat.session.turn.number} still runs`);
      if (seat.fault !== undefined) throw seat.fault;
      if (seat.ended)
        throw new CabstandError(
          'SESSION_ENDED',
          'a session of a module is one turn, which is over',
        );
      // From here on it is the author who is silent.
      seat.flags.alive();
      const parameters = resolveParameters(this.#parameters, given.parameters);
      const turn = { ...given, parameters };
      if (seat.session !== undefined) {
        seat.session.begin(turn);
        return;
      }
      const saved = this.#beginning(seat.open, turn);
      seat.session = new ModuleSession(sequence, name, turn, saved, seat.flags, this.#host);
    } catch (error) {
      if (!CabstandError.is(error)) this.log('error', stackOf(error), sequence);
      const { metadata, ...rest } = failureOf(error);
      const detail = { ...rest, metadata: { ...metadata } };
      this.#out.end(sequence, given.number, { reason: 'error', steps: 0, error: detail });
      this.#flush();
      this.#port.tell({ kind: 'ended', sequence, turn: given.number, stray: false });
      return;
    }
    const { session } = seat;
    // This may be within a call of another session, whose author has storages of his own.
    this.#outside.runInAsyncScope(() =>
      running.run(session, () => {
        // A resource of its own: what an author enters into a storage would stay for the next session.
        const resource = new AsyncResource('ModuleSession');
        void resource.runInAsyncScope(() => this.#run(seat, session));
      }),
    );
  }

  #beginning({ restore, seed }: Open, turn: Turn): Saved {
    if (restore !== undefined) return this.#saved.read(restore, turn);
    return fresh(this.#author.module.newState(turn.parameters), seed, turn.live);
  }

  async #run(seat: Seat, session: ModuleSession): Promise<void> {
    const stray = await ride(session, this.#author.module);
    session.leave();
    seat.session = undefined;
    seat.ended = true;
    if (session.between) seat.fault = session.fault;
    if (session.closed) {
      this.#free(session.id);
      return;
    }
    this.#port.tell({ kind: 'ended', sequence: session.id, turn: session.turn.number, stray });
  }

  #free(sequence: number): void {
    this.#seats.delete(sequence);
    this.#port.tell({ kind: 'freed', sequence });
  }

  async #unload(): Promise<void> {
    try {
      await this.#author.module.unload?.();
    } catch (error) {
      this.log('error', `unload: ${stackOf(error)}`);
    }
    this.#port.tell({ kind: 'unloaded' });
  }

  /** Credit that is there already resolves in a microtask: without this, no message and no other loop gets in. */
  async #breathe(): Promise<void> {
    for (let message: ToThread | undefined; (message = this.#port.receive()) !== undefined;)
      this.take(message);
    if (performance.now() - this.#sliceBegan < this.#sliceMs) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#sliceBegan = performance.now();
  }

  #flush(): void {
    if (this.#out.empty) return;
    const frames = this.#out.take(1, 0).map(ownMemory);
    this.#port.tell(
      { kind: 'frames', frames },
      frames.map(({ buffer }) => buffer),
    );
  }
}

/** Large frames have memory of their own, which is handed over; small ones share the pool of Buffers. */
function ownMemory(frame: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, length } = frame;
  return buffer instanceof ArrayBuffer && buffer.byteLength !== Buffer.poolSize
    ? new Uint8Array(buffer, byteOffset, length)
    : new Uint8Array(frame);
}
