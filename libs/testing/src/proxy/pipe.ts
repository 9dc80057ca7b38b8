import type { Socket } from 'node:net';
import { systemClock } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { NetFault } from './faults';

/** Bytes held for the receiver before the sender is slowed down, as a network would. */
const MOST_HELD = 256 * 1024;
/** A throttled pipe writes as often as this. */
const SLICE_MS = 10;

/** One fault on one pipe. */
export interface PipeFault {
  readonly fault: NetFault;
  /** Called when it takes effect. */
  readonly hit: () => void;
}

type Item =
  | { readonly kind: 'data'; readonly data: Buffer; readonly due: number }
  /** The sender will send no more. */
  | { readonly kind: 'end'; readonly due: number }
  /** The sender is gone, and not in order. */
  | { readonly kind: 'reset'; readonly due: number };

/** One direction of one connection: takes bytes from a socket, does to them what it is told, passes them on. */
export class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #resetAll: () => void;
  readonly #clock: Clock;
  readonly #lasting = new Set<PipeFault>();
  readonly #pending: { readonly at: number; readonly item: PipeFault }[] = [];
  #queue: Item[] = [];
  #held = 0;
  /** Bytes taken from the sender so far. */
  #taken = 0;
  #corrupting = 0;
  #dropping = 0;
  /** Half-closed: what still comes is swallowed. */
  #closed = false;
  #blocked = false;
  #timer: Timer | undefined;

  /** @param resetAll resets the whole connection */
  constructor(from: Socket, to: Socket, resetAll: () => void, clock: Clock = systemClock) {
    this.#from = from;
    this.#to = to;
    this.#resetAll = resetAll;
    this.#clock = clock;
    from.on('data', (data: Buffer) => this.#take(data));
    from.on('end', () => this.#push({ kind: 'end', due: this.#due() }));
    from.on('close', (failed) => {
      if (failed) this.#push({ kind: 'reset', due: this.#due() });
    });
    to.on('drain', () => {
      this.#blocked = false;
      this.#pump();
    });
  }

  get #holed(): boolean {
    return this.#faults('black-hole').length > 0;
  }

  /** Starts `item` once `afterBytes` more bytes have come; at once for 0. */
  add(item: PipeFault, afterBytes: number): void {
    if (afterBytes <= 0) this.#begin(item);
    else {
      this.#pending.push({ at: this.#taken + afterBytes, item });
      this.#pending.sort((a, b) => a.at - b.at);
    }
  }

  remove(item: PipeFault): void {
    this.#lasting.delete(item);
    const waiting = this.#pending.findIndex((entry) => entry.item === item);
    if (waiting >= 0) this.#pending.splice(waiting, 1);
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#pump();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#queue = [];
    this.#closed = true;
  }

  #begin(item: PipeFault): void {
    const { fault } = item;
    item.hit();
    switch (fault.kind) {
      case 'delay':
      case 'throttle':
      case 'black-hole':
        this.#lasting.add(item);
        return;
      case 'corrupt':
        this.#corrupting += fault.bytes ?? 1;
        return;
      case 'drop':
        this.#dropping += fault.bytes;
        return;
      case 'half-close':
        this.#push({ kind: 'end', due: this.#due() });
        this.#closed = true;
        return;
      case 'reset':
        this.#resetAll();
    }
  }

  #take(data: Buffer): void {
    let rest = data;
    for (;;) {
      const [next] = this.#pending;
      if (next === undefined || next.at > this.#taken + rest.length) break;
      const before = next.at - this.#taken;
      this.#pass(rest.subarray(0, before));
      rest = rest.subarray(before);
      this.#pending.shift();
      this.#begin(next.item);
    }
    this.#pass(rest);
  }

  #pass(bytes: Buffer): void {
    this.#taken += bytes.length;
    const dropped = Math.min(this.#dropping, bytes.length);
    this.#dropping -= dropped;
    const data = bytes.subarray(dropped);
    if (data.length === 0 || this.#closed) return;
    const corrupt = Math.min(this.#corrupting, data.length);
    this.#corrupting -= corrupt;
    for (let i = 0; i < corrupt; i++) data[i] = (data[i] ?? 0) ^ 0xff;
    this.#held += data.length;
    if (this.#held > MOST_HELD) this.#from.pause();
    this.#push({ kind: 'data', data, due: this.#due() });
  }

  #due(): number {
    const delays = this.#faults('delay').map(({ ms }) => ms);
    return this.#clock.monotonic() + Math.max(0, ...delays);
  }

  #push(item: Item): void {
    if (this.#closed) return;
    this.#queue.push(item);
    this.#pump();
  }

  #pump(): void {
    while (this.#timer === undefined && !this.#blocked && !this.#holed) {
      const item = this.#queue.shift();
      if (item === undefined) return;
      const wait = item.due - this.#clock.monotonic();
      if (wait > 0) {
        this.#queue.unshift(item);
        this.#sleep(wait);
      } else if (item.kind === 'data') this.#write(item);
      else if (item.kind === 'end') this.#to.end();
      else this.#to.resetAndDestroy();
    }
  }

  #write({ data, due }: Extract<Item, { kind: 'data' }>): void {
    const rates = this.#faults('throttle').map(({ bytesPerSecond }) => bytesPerSecond);
    const most =
      rates.length === 0 ? data.length : Math.max(1, (Math.min(...rates) * SLICE_MS) / 1000);
    const slice = data.subarray(0, Math.ceil(most));
    if (slice.length < data.length)
      this.#queue.unshift({ kind: 'data', data: data.subarray(slice.length), due });
    this.#held -= slice.length;
    if (this.#held <= MOST_HELD && this.#from.isPaused()) this.#from.resume();
    if (!this.#to.destroyed && !this.#to.writableEnded) this.#blocked = !this.#to.write(slice);
    if (this.#to.destroyed) this.#blocked = false;
    if (rates.length > 0) this.#sleep((slice.length * 1000) / Math.min(...rates));
  }

  #sleep(ms: number): void {
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined;
      this.#pump();
    }, ms);
  }

  #faults<K extends NetFault['kind']>(kind: K): Extract<NetFault, { kind: K }>[] {
    const found: Extract<NetFault, { kind: K }>[] = [];
    for (const { fault } of this.#lasting)
      if (fault.kind === kind) found.push(fault as Extract<NetFault, { kind: K }>);
    return found;
  }
}
