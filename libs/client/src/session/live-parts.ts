import { ReplayLog } from '@cabstand/core';
import type { Placed } from '@cabstand/core';
import type { LivePart, SessionChannel } from '../protocol/types';

/** A part that was applied, and where. */
interface Applied extends Placed {
  readonly sequence: number;
}

interface Kept {
  readonly part: LivePart;
  readonly bytes: number;
}

export interface LivePartsLimits {
  /** Parts not yet taken by the hoster before the writer waits. */
  readonly maxParts: number;
  /** The same in bytes. */
  readonly maxBytes: number;
  /** Bytes kept beyond that, for a hoster that has to start over. */
  readonly maxReplayBytes: number;
}

/**
 * The input of a live turn on its way to the hoster. Parts wait here until the hoster has taken them,
 * and longer: until a checkpoint covers them, so that another hoster can go on from it.
 */
export class LiveParts {
  readonly #limits: LivePartsLimits;
  /** Parts from `#base` on; the ones before were forgotten. */
  #kept: Kept[] = [];
  #base = 0;
  #keptBytes = 0;
  #accepted = 0;
  /** The hoster has those below, and asked for more. */
  #wanted = 0;
  /** Of the parts that are neither accepted nor below `#wanted`. */
  #bytesInFlight = 0;
  #sent = 0;
  /**
   * What the hoster said, of parts that are yet to be sent as well: it has those that the process before this
   * one sent, and says so once.
   */
  #saidAccepted = 0;
  #saidWanted = 0;
  /** Parts below are in the newest checkpoint, or will not be needed again. */
  #covered = 0;
  /** At which positions parts were applied; of those kept, and the last one that is not. */
  #applied = new ReplayLog<Applied>();
  #channel: SessionChannel | undefined;
  #draining = false;
  #waiting: (() => void)[] = [];

  constructor(limits: LivePartsLimits) {
    this.#limits = limits;
  }

  /** Whether another part may be written. */
  get hasRoom(): boolean {
    const { maxParts, maxBytes } = this.#limits;
    return this.#end - this.#counted < maxParts && this.#bytesInFlight < maxBytes;
  }

  /** Whether all parts are here that the newest checkpoint does not cover. */
  get replayable(): boolean {
    return this.#base <= this.#covered;
  }

  /** Bytes of the parts that are here. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  get #end(): number {
    return this.#base + this.#kept.length;
  }

  /** Parts from here on count as on their way. */
  get #counted(): number {
    return Math.min(Math.max(this.#accepted, this.#wanted), this.#end);
  }

  add(part: LivePart, bytes: number): void {
    this.#kept.push({ part, bytes });
    this.#keptBytes += bytes;
    if (this.#counted < this.#end) this.#bytesInFlight += bytes;
    this.#send();
  }

  /** Resolves when there may be room. */
  room(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * A hoster has the turn: it gets the parts. `resumed` is for one that starts from the newest
   * checkpoint or from nothing; otherwise it is sent what it has not said to have taken.
   */
  attach(channel: SessionChannel, resumed: boolean): void {
    this.#channel = channel;
    if (resumed) {
      this.#accepted = this.#saidAccepted = Math.max(this.#base, this.#covered);
      this.#saidWanted = 0;
    }
    this.#sent = this.#accepted;
    this.#weigh();
    this.#draining = false;
    this.#send();
  }

  /** Nothing more is sent. Wakes those who wait. */
  detach(): void {
    this.#channel = undefined;
    this.#kept = [];
    this.#keptBytes = 0;
    this.#applied = new ReplayLog();
    this.#wake();
  }

  /** The hoster has taken the parts below `nextPart`, or has those below `wanted` and needs more. */
  accepted(nextPart: number, wanted = 0): void {
    this.#saidAccepted = Math.max(this.#saidAccepted, nextPart);
    this.#saidWanted = Math.max(this.#saidWanted, wanted);
    this.#heed();
  }

  /** A record told that a part was applied. */
  applied(sequence: number, position: number): void {
    this.#applied.append({ sequence, position, bytes: 0 });
    this.accepted(sequence + 1);
  }

  /** A checkpoint holds everything that was applied before `position`. */
  checkpoint(position: number): void {
    const newest = this.#applied.covered(position);
    if (newest !== undefined) this.#covered = Math.max(this.#covered, newest.sequence + 1);
    this.#drop();
  }

  /** The turn runs and cannot go on elsewhere: what was taken need not be kept. */
  forget(): void {
    this.#covered = Infinity;
    this.#drop();
  }

  // Parts that are not covered are given up rather than bounded memory; parts on their way never.
  #drop(): void {
    let count = 0;
    while (count < Math.min(this.#accepted, this.#end) - this.#base) {
      const { maxReplayBytes } = this.#limits;
      if (this.#base + count >= this.#covered && this.#keptBytes <= maxReplayBytes) break;
      this.#keptBytes -= this.#kept[count]?.bytes ?? 0;
      count++;
    }
    if (count === 0) return;
    this.#kept.splice(0, count);
    this.#base += count;
    const needed = this.#base - 1;
    this.#applied.giveUp(({ sequence }) => sequence < needed);
  }

  /** What was said of parts counts once they are sent. */
  #heed(): void {
    const counted = this.#counted;
    this.#accepted = Math.max(this.#accepted, Math.min(this.#saidAccepted, this.#sent));
    this.#wanted = Math.max(this.#wanted, Math.min(this.#saidWanted, this.#sent));
    for (let part = counted; part < this.#counted; part++)
      this.#bytesInFlight -= this.#kept[part - this.#base]?.bytes ?? 0;
    this.#drop();
    this.#wake();
  }

  #send(): void {
    this.#sendUnsent();
    this.#heed();
  }

  #sendUnsent(): void {
    const channel = this.#channel;
    if (channel === undefined || this.#draining) return;
    while (this.#sent < this.#end) {
      const next = this.#kept[this.#sent - this.#base];
      if (next === undefined) return;
      this.#sent++;
      if (channel.send({ kind: 'part', ...next.part })) continue;
      this.#draining = true;
      const resume = (): void => {
        if (this.#channel !== channel) return;
        this.#draining = false;
        this.#send();
      };
      // A channel that ended wakes nobody: the turn fails with it, or goes on with another one.
      channel.drained().then(resume, () => undefined);
      return;
    }
  }

  #weigh(): void {
    this.#bytesInFlight = 0;
    for (const { bytes } of this.#kept.slice(this.#counted - this.#base))
      this.#bytesInFlight += bytes;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
