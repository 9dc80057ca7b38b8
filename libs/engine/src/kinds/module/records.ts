/** The records of one session: counted, chained, compared with those of an earlier life, kept back until committed. */
import { CabstandError } from '@cabstand/core';
import type { Survival } from '@cabstand/model';
import { HELD_PARTS, RecordFlag } from '../../frames/module-frames';
import type { RecordField, RecordItem, Replay } from '../../frames/module-frames';
import type { StepWriter } from '../../output/step-writer';
import type { SnapshotItem } from '../../frames/types';
import { chainAfter } from './chain';
import type { ReplayCheck } from './chain';
import { notDeterministic } from './replay';

export interface RecordsOptions {
  readonly sequence: number;
  readonly turn: number;
  readonly out: StepWriter;
  readonly survival: Survival;
  readonly replayCheck: ReplayCheck;
  readonly uncommittedRecords: number;
  readonly uncommittedBytes: number;
  /** Of the snapshot that the session began from. */
  readonly records: number;
  readonly chain: number;
  readonly replay: Replay | undefined;
  /** Takes credit. */
  spend(records: number, bytes: number): void;
}

/** All of it is false by default. */
interface RecordOptions {
  /** Who only watches may begin here. */
  readonly key?: boolean;
  /** It says that a part was passed over: of those there are as many as a caller sends, and no more than may wait. */
  readonly passedOver?: boolean;
}

/** A record that is made: `write` writes its body. */
export type NewRecord = readonly [
  field: (typeof RecordField)[keyof typeof RecordField],
  write: (out: StepWriter) => void,
  options?: RecordOptions,
];

export class Records {
  readonly #options: RecordsOptions;
  /** Records below this number exist already. */
  readonly #known: number;
  #count: number;
  #chain: number;
  #group: RecordItem[] = [];
  /** Of them, without those that were passed over. */
  #groupRecords = 0;
  #groupBytes = 0;

  constructor(options: RecordsOptions) {
    this.#options = options;
    this.#count = options.records;
    this.#chain = options.chain;
    this.#known = options.replay?.records ?? 0;
  }

  /** So much is kept back that the rest should be left to the author's own records. */
  get crowded(): boolean {
    const { uncommittedRecords, uncommittedBytes } = this.#options;
    return this.#groupRecords * 2 > uncommittedRecords || this.#groupBytes * 2 > uncommittedBytes;
  }

  /** Of this turn, those of earlier lives included. */
  get count(): number {
    return this.#count;
  }

  get chain(): number {
    return this.#chain;
  }

  /** What is made now exists already. */
  get replaying(): boolean {
    return this.#count < this.#known;
  }

  /** @throws CabstandError SESSION_LOST where it begins behind the last record that exists, and after another one */
  begin(): void {
    if (this.#count === this.#known) this.#compare();
  }

  /** Records are kept back. */
  get pending(): boolean {
    return this.#group.length > 0;
  }

  /**
   * Makes a record. True for the last one that exists already.
   *
   * @throws CabstandError SESSION_LOST where it is another one than in an earlier life, MODULE_FAILED
   * where too much is kept back.
   */
  put(point: number, ...[field, write, options = {}]: NewRecord): boolean {
    const { key = false, passedOver = false } = options;
    const { sequence, turn, out, survival, replayCheck } = this.#options;
    out.beginRecord(sequence, turn, { field, flags: key ? RecordFlag.key : 0, point, chain: 0 });
    try {
      write(out);
    } catch (error) {
      out.dropChunk();
      throw error;
    }
    if (survival === 'replay') this.#chain = chainAfter(this.#chain, field, out.body, replayCheck);
    const known = { chain: this.#chain };
    this.#count += 1;
    if (survival === 'commit') this.#keep(out.keepRecord(known), passedOver);
    else this.#options.spend(1, out.endRecord(known));
    if (this.#count !== this.#known) return false;
    this.#compare();
    return true;
  }

  /** Both records of a command were made: where they are kept back, the hoster need not wait for them. */
  heldBack(command: number, bytes: number): void {
    const { sequence, turn, out, survival } = this.#options;
    if (survival === 'commit') out.held({ sequence, turn, number: command, bytes });
  }

  /** The author waits for input while records are kept back. @param parts of the turn that he took */
  waitsForInput(parts: number): void {
    const { sequence, turn, out } = this.#options;
    if (this.pending) out.held({ sequence, turn, number: HELD_PARTS, bytes: parts });
  }

  /** Lets go of what was kept back: one group, closed by its last record or by the end of the turn. */
  release(closedBy: 'record' | 'end'): void {
    const { out } = this.#options;
    this.#group.forEach((item, index) => {
      const last = index === this.#group.length - 1 && closedBy === 'record';
      const flags = item.flags | (last ? 0 : RecordFlag.more);
      this.#options.spend(1, out.record({ ...item, flags }));
    });
    this.drop();
  }

  /** Forgets what was kept back. */
  drop(): void {
    this.#group = [];
    this.#groupRecords = 0;
    this.#groupBytes = 0;
  }

  /** @param ended the turn's end follows */
  snapshot(item: Pick<SnapshotItem, 'data' | 'records' | 'partsTaken'>, ended = false): void {
    const { sequence, turn, out } = this.#options;
    out.snapshot({ sequence, turn, ...item, steps: item.records, ended });
  }

  #keep(item: RecordItem, passedOver: boolean): void {
    const { uncommittedRecords, uncommittedBytes } = this.#options;
    this.#group.push(item);
    if (passedOver) return;
    this.#groupRecords += 1;
    this.#groupBytes += item.body.length;
    if (this.#groupRecords <= uncommittedRecords && this.#groupBytes <= uncommittedBytes) return;
    throw new CabstandError(
      'MODULE_FAILED',
      `${this.#groupRecords} records of ${this.#groupBytes} bytes wait for a checkpoint, at most ` +
        `${uncommittedRecords} of ${uncommittedBytes} bytes may: call ctx.checkpoint() more often`,
      { metadata: { problem: 'uncommitted' } },
    );
  }

  #compare(): void {
    const { replay } = this.#options;
    if (replay !== undefined && replay.chain !== this.#chain)
      throw notDeterministic(`its ${this.#count} records are not the same`);
  }
}
