/** A consumer that keeps what a client keeps, and goes on wherever it is told. */
import { CabstandError } from '@cabstand/core';
import type { FakeReader } from './readers.fixture';
import { FakeReader as Reader } from './readers.fixture';
import type { LivePart } from './live-input';
import { mix, partOf } from './engine.fixture';
import type { PlannedTurn, ResumeSpec } from './resume';
import type { Session } from './session';
import type { Sessions } from './sessions';
import type { Checkpoint, TurnContent } from './types';

const NEVER = new AbortController().signal;

/** What a turn is made of: a number of chunks, or the values of live parts. */
export type Script = number | readonly number[];

interface Delivered {
  readonly position: number;
  readonly kind: string;
  readonly text: string;
}

export class DurableClient {
  readonly delivered: Delivered[] = [];
  readonly scripts: Script[] = [];
  /** Ends of turns that were not `completed`, by turn. */
  readonly cancelled = new Set<number>();
  counter = 1;
  /** Whether each end of a turn brings one. */
  checkpoints = true;
  at: Sessions | undefined;
  session: Session | undefined;
  reader: FakeReader | undefined;
  #checkpoint: { at: Checkpoint; turn: number; ended: boolean } | undefined;
  #counted = 0;
  #noticed = 0;

  constructor(
    readonly id: string,
    readonly principal = 'alice',
    readonly owner = 'aa',
  ) {}

  get next(): number {
    return this.delivered.length;
  }

  get turn(): number {
    return this.scripts.length - 1;
  }

  /** What it would bring to the next hoster. */
  get spec(): ResumeSpec {
    return {
      checkpoint: this.#checkpoint?.at,
      delivered: this.next - 1,
      turn: Math.max(0, this.turn),
      turns: this.#replay(),
    };
  }

  get turnOver(): boolean {
    const last = this.delivered.at(-1);
    return this.turn < 0 || (last?.kind === 'end' && this.#ends === this.scripts.length);
  }

  get #ends(): number {
    return this.delivered.filter(({ kind }) => kind === 'end').length;
  }

  async open(sessions: Sessions): Promise<void> {
    this.at = sessions;
    this.session = await sessions.open(
      {
        id: this.id,
        principal: this.principal,
        model: 'fake',
        retention: 'durable',
        epoch: this.epoch,
        priority: 0,
      },
      NEVER,
    );
    this.attach();
  }

  get epoch(): { counter: number; owner: string } {
    return { counter: this.counter, owner: this.owner };
  }

  attach(): void {
    const reader = new Reader(3);
    this.#use(reader);
    reader.attachment = this.session?.attach(reader, this.epoch, this.next);
    this.collect();
  }

  #use(reader: FakeReader): void {
    this.collect();
    this.reader = reader;
    this.#counted = this.#noticed = 0;
  }

  /** Takes over what the reader got; every record must be the next one, or one it asked for again. */
  collect(): void {
    const { reader } = this;
    if (reader === undefined) return;
    for (const { position, kind, bytes } of reader.entries.slice(this.#counted)) {
      this.#counted++;
      if (position !== this.next) throw new Error(`got ${position}, expected ${this.next}`);
      const text = kind === 'chunk' ? bytes.subarray(-8).toString('latin1') : '';
      this.delivered.push({ position, kind, text });
      if (kind === 'end') this.#keepEnd(bytes);
    }
    for (const notice of reader.notices.slice(this.#noticed)) {
      this.#noticed++;
      if (notice.kind !== 'checkpoint') continue;
      const { checkpoint } = notice;
      if (checkpoint.position > this.next) throw new Error('a checkpoint ahead of its records');
      if (checkpoint.position >= (this.#checkpoint?.at.position ?? 0))
        this.#checkpoint = { at: checkpoint, turn: this.turn, ended: this.turnOver };
    }
  }

  read(records: number): void {
    this.reader?.read(records);
    this.collect();
  }

  acknowledge(back: number): void {
    if (this.next > back) this.session?.acknowledge(this.next - 1 - back);
  }

  startTurn(script: Script): void {
    this.session?.startTurn(this.turn + 1, contentOf(script));
    this.scripts.push(script);
    this.send();
  }

  /** Sends all parts of a live turn; those that came before are ignored. */
  send(): void {
    const { session, turn } = this;
    const script = this.scripts[turn];
    if (session === undefined || typeof script === 'number' || script === undefined) return;
    if (session.end !== undefined || session.turn !== turn || !session.turnRuns) return;
    for (const { part, tensors, last } of partsOf(script)) session.input(turn, part, tensors, last);
  }

  lose(): void {
    this.reader?.attachment?.detach('cancelled');
  }

  /** Goes on, at this hoster or another, with a higher epoch. */
  async resume(sessions: Sessions): Promise<void> {
    this.collect();
    this.lose();
    this.counter++;
    await this.resumeAgain(sessions);
  }

  async resumeAgain(sessions: Sessions): Promise<void> {
    const { spec } = this;
    this.session =
      sessions.resumable(this.id, this.principal, this.epoch, spec) ??
      (await sessions.open(
        {
          id: this.id,
          principal: this.principal,
          model: 'fake',
          retention: 'durable',
          epoch: this.epoch,
          priority: 0,
          resume: spec,
        },
        NEVER,
      ));
    this.at = sessions;
    this.attach();
  }

  /** The one right stream: what an undisturbed engine makes of the scripts. */
  expected(): Delivered[] {
    const all: Omit<Delivered, 'position'>[] = [];
    let state = 1;
    this.scripts.forEach((script) => {
      const values = typeof script === 'number' ? [...Array(script).keys()] : script;
      values.forEach((value) => {
        state = mix(state, value);
        all.push({ kind: 'chunk', text: state.toString(16).padStart(8, '0') });
        if (typeof script !== 'number') all.push({ kind: 'input', text: '' });
      });
      all.push({ kind: 'end', text: '' });
    });
    return all.map((record, position) => ({ position, ...record }));
  }

  #replay(): PlannedTurn[] {
    const from = this.#checkpoint;
    const first = from === undefined ? 0 : from.ended ? from.turn + 1 : from.turn;
    return this.scripts
      .map((script, turn) => ({ turn, content: contentOf(script), parts: partsOf(script) }))
      .slice(first);
  }

  /** The sealed checkpoint inside an end of turn: `1a len 08 position 12 len sealed`. */
  #keepEnd(bytes: Buffer): void {
    const at = bytes.indexOf('CSC1');
    if (at >= 0 !== this.checkpoints)
      throw new CabstandError('INTERNAL', `an end of turn has a checkpoint at byte ${at}`);
    if (!this.checkpoints) return;
    const size = sizeBefore(bytes, at);
    this.#checkpoint = {
      at: { position: this.next, sealed: bytes.subarray(at, at + size) },
      turn: this.#ends - 1,
      ended: true,
    };
  }
}

/** The varint that ends at `end`, up to three bytes. */
function sizeBefore(bytes: Buffer, end: number): number {
  const low = (bytes[end - 2] ?? 0) & 0x7f;
  return (bytes[end - 2] ?? 0) >= 0x80 ? low + (bytes[end - 1] ?? 0) * 128 : (bytes[end - 1] ?? 0);
}

function contentOf(script: Script): TurnContent {
  const live = typeof script !== 'number';
  return { prompt: live ? '0' : String(script), parameters: {}, tensors: [], live };
}

function partsOf(script: Script): LivePart[] {
  if (typeof script === 'number') return [];
  return script.map((value, part) => ({
    part,
    tensors: partOf(value),
    last: part === script.length - 1,
  }));
}
