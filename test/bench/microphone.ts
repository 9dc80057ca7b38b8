import type { LiveTurn, Session } from '@cabstand/client';
import { sleep } from '@cabstand/core';
import { tensorOf } from '@cabstand/tensor';
import { drain } from '../support/drain';

export const MODEL = 'silero-vad';
const FRAME = 512;

/** Made beforehand: what the microphone costs is no business of the streams. */
const SOUND = Array.from({ length: 64 }, (_, part) =>
  tensorOf(
    'audio',
    Float32Array.from({ length: FRAME }, (__, i) => Math.sin(part + i * 0.02) / 9),
  ),
);

/** A turn of one record. */
export async function record(session: Session): Promise<void> {
  await drain(session.runProtocolTask(undefined, { audio: new Float32Array(FRAME) }));
}

/** A microphone: a part every so often, each good for one record, and the times at which these came. */
export class Microphone {
  /** Times of the records, the newest last; emptied before each failure. */
  times: number[] = [];
  /** Times between the two records around each move. */
  moved: number[] = [];
  /** When the first record after each move came. */
  arrived: number[] = [];
  /** Of the time around the last move, what the new hoster took from taking it up to the first record. */
  replayMs = 0;
  #moving = false;
  #opened = 0;
  /** What ended it. */
  error: unknown;
  readonly #session: Session;
  readonly #turn: LiveTurn;
  readonly #partMs: number;
  #stopped = false;

  constructor(session: Session, partMs: number) {
    this.#session = session;
    this.#turn = session.live();
    this.#partMs = partMs;
    session.on('opened', () => (this.#opened = performance.now()));
    session.on('recovered', () => (this.#moving = true));
    void this.#write();
    void this.#read();
  }

  get node(): string | undefined {
    return this.#session.node?.address;
  }

  forget(): void {
    this.times = [];
    this.moved = [];
    this.arrived = [];
    this.replayMs = 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#turn.return();
    await this.#session.close();
  }

  async #write(): Promise<void> {
    const start = performance.now();
    for (let part = 0; !this.#stopped; part++) {
      try {
        await this.#turn.write([SOUND[part % SOUND.length]!]);
      } catch {
        return;
      }
      await sleep(Math.max(0, start + (part + 1) * this.#partMs - performance.now()));
    }
  }

  async #read(): Promise<void> {
    try {
      while ((await this.#turn.next()).done !== true) {
        const now = performance.now();
        if (this.#moving) {
          this.moved.push(now - (this.times.at(-1) ?? now));
          this.arrived.push(now);
          this.replayMs = now - this.#opened;
        }
        this.#moving = false;
        this.times.push(now);
      }
    } catch (error) {
      if (!this.#stopped) this.error = error;
    }
  }
}

/** Times between neighbours. */
export function differences(times: readonly number[]): number[] {
  return times.slice(1).map((time, i) => time - (times[i] ?? time));
}
