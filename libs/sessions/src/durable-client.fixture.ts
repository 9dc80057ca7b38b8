/** A consumer that keeps what a client keeps, and goes on wherever it is told. */
import { CabstandError } from '@cabstand/core';
import type { FakeReader } from './readers.fixture';
import { FakeReader as Reader } from './readers.fixture';
import type { LivePart } from './input/live-input';
import { codecs } from '@cabstand/rpc';
import { mix, partOf } from '@cabstand/testing';
import type { PlannedTurn, ResumeSpec } from './resume/plan';
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
  /** Turns that it has told to stop, and those of them that were over before. */
  readonly stops = new Set<number>();
  readonly late = new Set<number>();
  /** Turns that came to their end as `stopped`. */
  readonly stopped = new Set<number>();
  counter = 1;
  /** Engines that died while its session was there. */
  deaths = 0;
  /** Its last turn was taken for the cause of that; the end that said so is not among `delivered`. */
  poisoned = false;
  /** Whether each end of a turn brings one. */
  checkpoints = true;
  at: Sessions | undefined;
  session: Session | undefined;
  reader: FakeReader | undefined;
  #checkpoint: { at: Checkpoint; turn: number; ended: boolean } | undefined;
  #counted = 0;
  #noticed = 0;
  /** Records that belong together with those that have not come. */
  #held: Delivered[] = [];

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

  /** Turns in which a stop was answered. */
  get answered(): Set<number> {
    const turns = this.#turns().map((told) => told.some(({ kind }) => kind === 'other'));
    return new Set(turns.flatMap((told, turn) => (told ? [turn] : [])));
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
    this.#held = [];
  }

  /** Takes over what the reader got; every record must be the next one, or one it asked for again. */
  collect(): void {
    const { reader } = this;
    if (reader === undefined) return;
    for (const { position, kind, bytes } of reader.entries.slice(this.#counted)) {
      this.#counted++;
      const next = this.next + this.#held.length;
      if (position !== next) throw new Error(`got ${position}, expected ${next}`);
      if (kind === 'end' && bytes.includes('TURN_POISONED')) {
        this.poisoned = true;
        continue;
      }
      const text = kind === 'chunk' ? bytes.subarray(-8).toString('latin1') : '';
      this.#held.push({ position, kind, text });
      const { record } = codecs.SessionStreamResponse.decode(bytes);
      if (record?.more === true) continue;
      this.delivered.push(...this.#held.splice(0));
      if (record?.end_of_turn?.reason === 'END_REASON_STOPPED') this.stopped.add(this.turn);
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

  /** Tells the turn that runs to stop; until its end has come it does so wherever it goes on. */
  stop(): void {
    const { session, turn } = this;
    if (this.turnOver || session === undefined) return;
    this.stops.add(turn);
    session.stopCommand.outcome(turn).catch((error: unknown) => {
      if (CabstandError.from(error).metadata['code'] === 'no_turn') this.late.add(turn);
    });
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
    if (this.stops.has(this.turn)) this.stop();
  }

  /** The one right stream: what an undisturbed engine makes of the scripts, as far as they were let run. */
  expected(): Delivered[] {
    const all: Omit<Delivered, 'position'>[] = [];
    let state = 1;
    const turns = this.#turns();
    this.scripts.forEach((script, turn) => {
      const told = turns[turn] ?? [];
      const chunks = this.stopped.has(turn)
        ? told.filter(({ kind }) => kind === 'chunk').length
        : Infinity;
      const values = typeof script === 'number' ? [...Array(script).keys()] : script;
      values.slice(0, chunks).forEach((value) => {
        state = mix(state, value);
        all.push({ kind: 'chunk', text: state.toString(16).padStart(8, '0') });
        if (typeof script !== 'number') all.push({ kind: 'input', text: '' });
      });
      const answer = [...Array<object>(2)].map(() => ({ kind: 'other', text: '' }));
      if (told.some(({ kind }) => kind === 'other')) all.push(...answer);
      all.push({ kind: 'end', text: '' });
    });
    return all.map((record, position) => ({ position, ...record }));
  }

  /** What was delivered of each turn. */
  #turns(): Delivered[][] {
    const turns: Delivered[][] = [[]];
    for (const one of this.delivered) {
      turns.at(-1)?.push(one);
      if (one.kind === 'end') turns.push([]);
    }
    return turns;
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
