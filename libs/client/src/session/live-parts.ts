import type { LivePart, SessionChannel } from '../protocol/types';

interface Kept {
  readonly part: LivePart;
  readonly bytes: number;
}

/**
 * The input of a live turn on its way to the hoster: parts wait here until the hoster has taken them,
 * and until the first record all of them are kept, so that another hoster can get them from the start.
 */
export class LiveParts {
  readonly #maxParts: number;
  readonly #maxBytes: number;
  /** Parts from `#base` on; the ones before were taken and forgotten. */
  #kept: Kept[] = [];
  #base = 0;
  #accepted = 0;
  #bytesInFlight = 0;
  #sent = 0;
  #keepAll = true;
  #lostSome = false;
  #channel: SessionChannel | undefined;
  #draining = false;
  #waiting: (() => void)[] = [];

  constructor(maxParts: number, maxBytes: number) {
    this.#maxParts = maxParts;
    this.#maxBytes = maxBytes;
  }

  /** Whether another part may be written. */
  get hasRoom(): boolean {
    return this.#end - this.#accepted < this.#maxParts && this.#bytesInFlight < this.#maxBytes;
  }

  /** Whether all parts since the first are still here. */
  get replayable(): boolean {
    return this.#keepAll && !this.#lostSome;
  }

  get #end(): number {
    return this.#base + this.#kept.length;
  }

  add(part: LivePart, bytes: number): void {
    this.#kept.push({ part, bytes });
    this.#bytesInFlight += bytes;
    this.#send();
  }

  /** Resolves when there may be room. */
  room(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A hoster took the turn: everything is sent to it, from the first part. */
  attach(channel: SessionChannel): void {
    this.#channel = channel;
    this.#sent = this.#base;
    this.#accepted = this.#base;
    this.#bytesInFlight = this.#kept.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#draining = false;
    this.#send();
  }

  /** Nothing more is sent. Wakes those who wait. */
  detach(): void {
    this.#channel = undefined;
    this.#kept = [];
    this.#wake();
  }

  /** The hoster has taken the parts below `nextPart`. */
  accepted(nextPart: number): void {
    while (this.#accepted < nextPart && this.#accepted < this.#sent) {
      this.#bytesInFlight -= this.#kept[this.#accepted - this.#base]?.bytes ?? 0;
      this.#accepted++;
    }
    if (!this.#keepAll || this.#accepted - this.#base > this.#maxParts * 2) this.#drop();
    this.#wake();
  }

  /** The first record is here: what was taken need not be kept. */
  forget(): void {
    this.#keepAll = false;
    this.#drop();
  }

  // Before the first record this gives up on another hoster rather than on bounded memory.
  #drop(): void {
    const count = this.#accepted - this.#base;
    if (count === 0) return;
    if (this.#keepAll) this.#lostSome = true;
    this.#kept.splice(0, count);
    this.#base += count;
  }

  #send(): void {
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
      // A channel that ended wakes nobody: the turn fails with it.
      channel.drained().then(resume, () => undefined);
      return;
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
