/** Runs turns through the step loop that serves: same scheduling, same batches, same credits. */
import { CabstandError } from '@cabstand/core';
import { decodeFrame } from '../frames/codec';
import { PREFIX } from '../frames/layout';
import type { TurnEnd } from '../frames/types';
import type { Sequence, Stepper } from '../runtime/sequence';
import { StepLoop } from '../runtime/step-loop';
import { decodeChunk } from './decode-chunk';
import type { DecodedChunk } from './decode-chunk';
import type { TurnPlan } from './harness';

/** What came of a turn, or of a part of one. */
export interface Played {
  readonly chunks: readonly DecodedChunk[];
  /** Undefined where the turn was left within. */
  readonly end: TurnEnd | undefined;
  /** The state after these chunks; empty unless it was asked for. */
  readonly snapshot: Buffer;
}

/** What came of the turn so far. */
interface Seen {
  readonly chunks: DecodedChunk[];
  end: TurnEnd | undefined;
  snapshot: Buffer | undefined;
}

/** Credit without end. */
const PLENTY = 1e12;

export class Drive {
  readonly #loop: StepLoop<Sequence>;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #seen = new Map<number, Seen>();
  #waiting: (() => void)[] = [];
  #next = 0;
  /** Called for each record that came. */
  onRecord: (() => void) | undefined;

  constructor(stepper: Stepper) {
    const write = (bytes: Buffer): boolean => this.#take(bytes);
    this.#loop = new StepLoop(stepper, { write, drained: () => Promise.resolve() }, Infinity);
    this.#running = this.#loop.run(this.#stop.signal);
    // Whoever waits finds out by `until`.
    this.#running.catch(() => this.#wake());
  }

  /** @param snapshots every turn ends with one */
  open(snapshots: boolean, restore?: Uint8Array): number {
    const sequence = this.#next;
    this.#next += 1;
    this.#loop.handle({
      type: 'OPEN',
      ...{ sequence, priority: 0, snapshots },
      ...(restore !== undefined && { restore }),
    });
    return sequence;
  }

  /** @param most records after which the turn is left within; default: all it has */
  async play(
    sequence: number,
    turn: number,
    plan: TurnPlan,
    { most = PLENTY, continued = false }: { most?: number; continued?: boolean } = {},
  ): Promise<Played> {
    const seen: Seen = { chunks: [], end: undefined, snapshot: undefined };
    this.#seen.set(sequence, seen);
    this.#credit(sequence, most);
    const { prompt, parameters, inputs } = plan;
    this.#loop.handle({
      type: 'TURN',
      ...{ sequence, turn, prompt, parameters, inputs, live: false, continued },
    });
    await this.#until(() => seen.end !== undefined || seen.chunks.length >= most);
    if (seen.end === undefined) {
      seen.snapshot = undefined;
      this.#loop.handle({ type: 'SNAPSHOT', sequence });
      await this.#until(() => seen.end !== undefined || seen.snapshot !== undefined);
    }
    // What is left over of the credit would let the next turn run on.
    if (seen.end !== undefined) this.#credit(sequence, seen.chunks.length - most);
    const { chunks, end, snapshot = Buffer.alloc(0) } = seen;
    return { chunks, end, snapshot };
  }

  close(sequence: number): void {
    this.#seen.delete(sequence);
    this.#loop.handle({ type: 'CLOSE', sequence });
  }

  /** Ends it. Throws what ended the loop before, if anything did. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #credit(sequence: number, records: number): void {
    const bytes = records === 0 ? 0 : PLENTY;
    this.#loop.handle({ type: 'CREDITS', credits: [{ sequence, records, bytes }] });
  }

  #take(bytes: Buffer): boolean {
    const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
    if (frame.type !== 'STEP') return true;
    for (const item of frame.items) {
      const seen = this.#seen.get(item.sequence);
      if (seen === undefined) continue;
      if (item.kind === 'end') seen.end = item.end;
      else if (item.kind === 'snapshot') seen.snapshot = item.data;
      else if (item.kind === 'chunk') {
        seen.chunks.push(decodeChunk(item.chunk));
        this.onRecord?.();
      }
    }
    this.#wake();
    return true;
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #until(condition: () => boolean): Promise<void> {
    const ended = this.#running.then(() => {
      throw new CabstandError('INTERNAL', 'the step loop ended');
    });
    ended.catch(() => undefined);
    while (!condition()) {
      const woken = new Promise<void>((resolve) => this.#waiting.push(resolve));
      await Promise.race([woken, ended]);
    }
  }
}
