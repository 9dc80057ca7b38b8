import type {
  Chunk,
  Generation,
  LiveTurn,
  Session,
  SessionManager,
  TurnResult,
} from '@cabstand/client';
import { sleep } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { Script, ScriptTurn } from './scripts';
import { Watched } from './watched';

/** One chunk as its consumer got it. */
export interface Observed {
  readonly position: number;
  /** All of its content: text, names, types, shapes and bytes of tensors. */
  readonly content: string;
}

/** One turn as its consumer saw it. */
export interface ObservedTurn {
  readonly chunks: readonly Observed[];
  /** Why it ended: the end's reason, with the position after it, or the error that was thrown. */
  readonly end:
    | {
        readonly kind: 'ended';
        readonly reason: string;
        readonly position: number;
        readonly generation?: Generated;
      }
    | { readonly kind: 'failed'; readonly error: unknown };
}

/** Of an answer what does not depend on what its hoster had computed before. */
export type Generated = Omit<Generation, 'cached'>;

export interface Observation {
  readonly script: Script;
  readonly turns: readonly ObservedTurn[];
}

export interface StreamOptions {
  /** Pause of the reader after each record, in milliseconds. Default 0. */
  readonly readMs?: number;
  /** Pause of the writer of a live turn after each part, in milliseconds. Default 0. */
  readonly writeMs?: number;
  /** Pause between two turns, in milliseconds. Default 0. */
  readonly turnMs?: number;
  /** Called at each point of the stream; it goes on when this is done. */
  readonly at?: (point: StreamPoint) => Promise<void> | void;
  readonly signal?: AbortSignal;
}

/** Before a turn begins, with 0 chunks, or after so many chunks of it. */
export interface StreamPoint {
  readonly turn: number;
  readonly chunks: number;
  readonly session: Session;
}

/** A script of turns that runs. */
export class Stream extends Watched {
  readonly script: Script;
  /** Between two turns of a session that a hoster has. */
  resting = false;
  readonly #options: StreamOptions;

  constructor(script: Script, options: StreamOptions = {}) {
    super();
    this.script = script;
    this.#options = options;
  }

  get name(): string {
    return this.script.name;
  }

  get model(): string {
    return this.script.model;
  }

  override get group(): string {
    return this.script.group ?? this.model;
  }

  /** Runs the whole script; what goes wrong is part of the observation. */
  async run(sessions: SessionManager): Promise<Observation> {
    const { signal } = this.#options;
    const turns: ObservedTurn[] = [];
    const session = sessions.session({
      model: this.script.model,
      durable: true,
      ...(signal === undefined ? {} : { signal }),
    });
    this.follow(session);
    try {
      for (const [number, turn] of this.script.turns.entries()) {
        await this.#options.at?.({ turn: number, chunks: 0, session });
        const observed = await this.#turn(session, turn, number);
        turns.push(observed);
        if (observed.end.kind === 'failed') break;
        this.resting = true;
        await sleep(this.#options.turnMs ?? 0, signal).catch(() => undefined);
        this.resting = false;
      }
    } finally {
      await session.close();
      this.session = undefined;
    }
    return { script: this.script, turns };
  }

  async #turn(session: Session, turn: ScriptTurn, number: number): Promise<ObservedTurn> {
    const chunks: Observed[] = [];
    try {
      const { reason, generation } = await this.#read(session, turn, chunks, number);
      const end = { kind: 'ended', reason, position: session.position } as const;
      return { chunks, end: { ...end, ...(generation && { generation: generated(generation) }) } };
    } catch (error) {
      return { chunks, end: { kind: 'failed', error } };
    } finally {
      this.flowing = false;
    }
  }

  async #read(
    session: Session,
    turn: ScriptTurn,
    chunks: Observed[],
    number: number,
  ): Promise<TurnResult> {
    const seen = async (): Promise<void> => {
      this.seen();
      await this.#options.at?.({ turn: number, chunks: chunks.length, session });
    };
    if (turn.kind === 'whole')
      return this.#drain(
        session.runProtocolTask(turn.prompt, turn.tensors, {
          ...(turn.parameters && { parameters: turn.parameters }),
        }),
        chunks,
        seen,
      );
    const live = session.live();
    const writing = this.#write(live, turn.parts);
    // It fails with what reading fails with.
    writing.catch(() => undefined);
    const end = await this.#drain(live, chunks, seen);
    await writing;
    return end;
  }

  async #drain(
    records: AsyncIterator<Chunk, TurnResult, undefined>,
    chunks: Observed[],
    seen: () => Promise<void>,
  ): Promise<TurnResult> {
    const { readMs = 0, signal } = this.#options;
    for (;;) {
      const next = await records.next();
      if (next.done === true) return next.value;
      chunks.push(observe(next.value));
      await seen();
      if (readMs > 0) await sleep(readMs, signal);
    }
  }

  async #write(live: LiveTurn, parts: readonly (readonly Tensor[])[]): Promise<void> {
    const { writeMs = 0, signal } = this.#options;
    for (const part of parts) {
      await live.write(part);
      if (writeMs > 0) await sleep(writeMs, signal);
    }
    await live.end();
  }
}

function generated({ finish, prompt, answer }: Generation): Generated {
  return { ...(finish !== undefined && { finish }), prompt, answer };
}

/** All of a chunk, for comparison. */
export function observe(chunk: Pick<Chunk, 'position' | 'text' | 'tensors'>): Observed {
  const content = [chunk.text, ...chunk.tensors.map(describe)].join('|');
  return { position: chunk.position, content };
}

function describe({ name, dtype, shape, data }: Tensor): string {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');
  return `${name}:${dtype}[${shape.join(',')}]${bytes}`;
}
