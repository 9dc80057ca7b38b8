/** A hoster, a consumer and what happens to both, around an author's thread that runs in this one. */
import type { Survival } from '@cabstand/model';
import { decodeFrame } from '../../frames/codec';
import { PREFIX } from '../../frames/layout';
import { RecordField, RecordFlag } from '../../frames/module-frames';
import type { RecordItem, ReplayEntry } from '../../frames/module-frames';
import type { StepItem, TurnEnd } from '../../frames/types';
import { authorOf } from './author';
import type { AuthorClass } from './author';
import { AuthorThread } from './author-thread';
import { Flags } from './flags';
import type { SessionFlags } from './flags';
import type { CommandCall } from './inbox';
import type { FromThread, Part, ThreadData, ToThread, Turn } from './messages';

export const LIMITS: ThreadData['limits'] = {
  commandsWaiting: 64,
  messageBytes: 65_536,
  recordValueBytes: 65_536,
  commandBytes: 65_536,
  resultBytes: 65_536,
  uncommittedRecords: 64,
  uncommittedBytes: 1 << 22,
  stateBytes: 1 << 24,
};

export function dataOf(survival: Survival, more: Partial<ThreadData> = {}): ThreadData {
  return {
    flags: Flags.allocate(4),
    file: '',
    folder: '',
    config: {},
    provider: 'cpu',
    threads: 1,
    messageBytes: 1 << 20,
    parameters: [],
    outputs: [],
    survival,
    replayCheck: 'exact',
    messages: {},
    limits: LIMITS,
    digest: 'sha256:test',
    ...more,
  };
}

/** One life of an engine: what it sends arrives late, and not at all once it has died. */
export class Life {
  readonly flags: SessionFlags;
  readonly logs: string[] = [];
  readonly told: FromThread[] = [];
  readonly #thread: AuthorThread;
  readonly #toThread: ToThread[] = [];
  #fromThread: FromThread[] = [];
  #dead = false;

  private constructor(thread: (life: Life) => AuthorThread, flags: SessionFlags) {
    this.flags = flags;
    this.#thread = thread(this);
  }

  static async begin(author: AuthorClass, data: ThreadData, sliceMs = 0): Promise<Life> {
    const made = await authorOf(author, data.limits, {});
    return new Life(
      (life) =>
        new AuthorThread(
          data,
          made,
          {
            receive: () => life.#toThread.shift(),
            tell: (message) => life.#tell(message),
          },
          sliceMs,
        ),
      new Flags(data.flags).at(0),
    );
  }

  #tell(message: FromThread): void {
    if (this.#dead) return;
    if (message.kind === 'log') this.logs.push(message.message);
    this.told.push(message);
    this.#fromThread.push(message);
  }

  /** A message that the thread takes at its next call, or once the loop goes round. */
  send(message: ToThread): void {
    if (this.#dead) return;
    this.#toThread.push(message);
    setImmediate(() => {
      const next = this.#toThread.shift();
      if (next !== undefined) this.#thread.take(next);
    });
  }

  /** What has come by now. */
  arrived(): StepItem[] {
    const messages = this.#fromThread;
    this.#fromThread = [];
    return messages.flatMap((message) => {
      if (message.kind !== 'frames') return [];
      return message.frames.flatMap((bytes) => {
        const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, Buffer.from(bytes.subarray(PREFIX)));
        return frame.type === 'STEP' ? frame.items : [];
      });
    });
  }

  die(): void {
    this.#dead = true;
    this.#toThread.length = 0;
    this.#fromThread = [];
    this.#thread.take({ kind: 'close', sequence: 1 });
  }

  stray(thrown: unknown): void {
    this.#thread.stray(thrown);
  }
}

/** Fields of a small serialized message: numbers, and texts. */
export function fieldsOf(body: Buffer): Record<number, number | string> {
  const fields: Record<number, number | string> = {};
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = body[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < body.length) {
    const tag = varint();
    const value = varint();
    if ((tag & 7) === 0) fields[tag >> 3] = value;
    else {
      fields[tag >> 3] = body.toString('utf8', at, at + value);
      at += value;
    }
  }
  return fields;
}

interface Kept {
  readonly data: Buffer;
  readonly records: number;
}

/** Records that came from engines, those of them that a consumer has, and snapshots of the session. */
export class Host {
  readonly #data: () => ThreadData;
  readonly #author: () => AuthorClass;
  readonly #window: number;
  life!: Life;
  /** Those before the one that runs, as the consumer has them. */
  readonly turnsBefore: RecordItem[][] = [];
  /** What the hoster has of the turn. */
  records: RecordItem[] = [];
  /** How many of them the consumer has. */
  seen = 0;
  /** The consumer has the end, too. */
  endSeen = false;
  end: TurnEnd | undefined;
  /** Of all turns. */
  commands: CommandCall[] = [];
  parts: Part[] = [];
  /** The state between the turn before and this one, and behind this one. */
  #start: Buffer | undefined;
  #last: Buffer | undefined;
  #snapshots: Kept[] = [];
  /** Number of the next record from this engine. */
  #next = 0;
  #outstanding = 0;

  constructor(data: () => ThreadData, author: () => AuthorClass, window: number) {
    this.#data = data;
    this.#author = author;
    this.#window = window;
  }

  get #commits(): boolean {
    return this.#data().survival === 'commit';
  }

  async begin(): Promise<void> {
    this.life = await Life.begin(this.#author(), this.#data());
    const from = this.#snapshots.at(-1);
    const { between } = this;
    if (this.#commits && !between) this.records.length = from?.records ?? 0;
    this.#next = from?.records ?? 0;
    this.#outstanding = 0;
    const restore = between ? this.#last : (from?.data ?? this.#start);
    const open = {
      kind: 'open',
      sequence: 1,
      place: 0,
      seed: 7,
      session: 's',
      snapshots: true,
    } as const;
    this.life.send(restore === undefined ? open : { ...open, restore });
    if (!between) this.#turn(from !== undefined);
    this.grant();
  }

  /** No turn runs, and another one may. */
  get between(): boolean {
    return this.end !== undefined && this.end.reason !== 'error' && this.end.goesOn === true;
  }

  /** Of the consumer, who has all of the turn before. */
  nextTurn(): void {
    this.turnsBefore.push(this.records);
    this.#start = this.#last;
    this.records = [];
    this.parts = [];
    this.#snapshots = [];
    this.#last = this.end = undefined;
    this.#next = this.seen = 0;
    this.endSeen = false;
    this.life.flags.forgetStop();
    this.#turn(false);
  }

  #turn(continued: boolean): void {
    const turn: Turn = {
      ...{ number: this.turnsBefore.length, prompt: '', parameters: {}, inputs: [], live: true },
      continued,
    };
    const replay = {
      entries: entriesOf(this.records.slice(this.#next)),
      records: this.records.length,
      chain: this.records.at(-1)?.chain ?? 0,
    };
    const again = !this.#commits && this.records.length > this.#next;
    this.life.send({ kind: 'turn', sequence: 1, turn: again ? { ...turn, replay } : turn });
    const taken = entriesOf(this.records.slice(0, this.#next)).filter(
      ({ kind }) => kind === 'part',
    );
    for (const part of this.parts.slice(taken.length)) this.#part(part);
    // Those that were applied come once more, as from a sender that did not hear of it.
    for (const command of this.commands) this.#command(command);
  }

  command(command: CommandCall): void {
    this.commands.push(command);
    this.#command(command);
  }

  part(part: Part): void {
    this.parts.push(part);
    this.#part(part);
  }

  cancel(): void {
    this.life.flags.stop('cancelled');
    this.life.send({ kind: 'wake', sequence: 1 });
  }

  wantSnapshot(): void {
    this.life.send({ kind: 'snapshot', sequence: 1 });
  }

  grant(): void {
    const room = this.#window - (this.records.length - this.seen) - this.#outstanding;
    if (room <= 0) return;
    this.#outstanding += room;
    this.life.flags.grant(room, 1e9);
    if (this.life.flags.parked) this.life.send({ kind: 'wake', sequence: 1 });
  }

  revokeCredit(): void {
    if (this.#outstanding <= 0) return;
    this.life.flags.grant(-this.#outstanding, 0);
    this.#outstanding = 0;
  }

  /** Takes what the engine has sent. */
  take(): void {
    for (const item of this.life.arrived()) {
      if (item.kind === 'record') this.#record(item);
      if (item.kind === 'snapshot') {
        if (item.records !== this.#next) throw new Error('a snapshot of another position');
        if (item.ended) this.#last = item.data;
        else this.#snapshots.push({ data: item.data, records: item.records });
      }
      if (item.kind === 'end') this.end = item.end;
    }
  }

  /** The consumer reads up to so many, groups as a whole. */
  read(most: number): void {
    let upTo = Math.min(this.records.length, this.seen + most);
    const open = (at: number): boolean =>
      ((this.records[at - 1]?.flags ?? 0) & RecordFlag.more) !== 0;
    const closed = (at: number): boolean =>
      !open(at) || (this.end !== undefined && at === this.records.length);
    while (upTo < this.records.length && !closed(upTo)) upTo += 1;
    while (upTo > this.seen && !closed(upTo)) upTo -= 1;
    if (this.end !== undefined && upTo - this.seen < most)
      this.endSeen ||= upTo === this.records.length;
    this.seen = upTo;
  }

  /** The engine alone: what the hoster has stays. */
  async engineDies(): Promise<void> {
    this.life.die();
    await this.begin();
  }

  /** Hoster and engine: what the consumer has is all there is. */
  async hosterDies(): Promise<void> {
    this.life.die();
    this.records.length = this.seen;
    if (!this.endSeen) this.#last = this.end = undefined;
    this.#snapshots = this.#snapshots.filter(({ records }) => records <= this.seen);
    await this.begin();
  }

  #record(item: RecordItem): void {
    const number = this.#next;
    this.#next += 1;
    this.#outstanding -= 1;
    if (number >= this.records.length) this.records.push(item);
  }

  #part(part: Part): void {
    this.life.send({ kind: 'part', sequence: 1, turn: this.turnsBefore.length, part });
  }

  #command(command: CommandCall): void {
    this.life.send({ kind: 'command', sequence: 1, turn: this.turnsBefore.length, ...command });
  }
}

export function entriesOf(records: readonly RecordItem[]): ReplayEntry[] {
  return records.flatMap(({ field, point, body }): ReplayEntry[] => {
    const { 1: first = 0, 2: second = '', 3: third = '' } = fieldsOf(body);
    if (field === RecordField.applied)
      return [
        {
          kind: 'command',
          number: Number(first),
          name: String(second),
          arguments: String(third),
          point,
        },
      ];
    if (field === RecordField.input) return [{ kind: 'part', part: Number(first), point }];
    if (field === RecordField.recorded)
      return [{ kind: 'value', name: String(first), json: String(second), point }];
    return [];
  });
}
