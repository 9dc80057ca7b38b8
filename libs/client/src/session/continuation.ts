import { CabstandError } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { Checkpoint } from '../protocol/events';
import type { ResumeRequest, TurnInput } from '../protocol/types';
import type { KeptTurn } from './handle';
import { inputBytes } from './input';

/** A turn that has ended and that no checkpoint covers. */
interface PastTurn extends KeptTurn {
  readonly bytes: number;
}

/** The turn that runs, as far as resuming needs it. */
export interface RunningInput {
  readonly turn: number;
  /** Undefined where it was too much to keep. */
  readonly input: TurnInput | undefined;
  /** Whether all of its live input is here that the checkpoint does not cover. */
  readonly replayable: boolean;
}

/**
 * What going on at another hoster takes: the newest checkpoint, and the input that was given since it.
 * Bounded: input beyond `maxBytes` is not kept, and the session cannot move until a checkpoint covers
 * it.
 */
export class Continuation {
  readonly #maxBytes: number;
  #checkpoint: Checkpoint | undefined;
  #past: PastTurn[] = [];
  #pastBytes = 0;

  constructor(maxBytes: number, checkpoint?: Checkpoint, past: readonly KeptTurn[] = []) {
    this.#maxBytes = maxBytes;
    this.#checkpoint = checkpoint;
    for (const { turn, position, input } of past)
      this.ended(turn, position, input, false, undefined);
  }

  /** Turns that the checkpoint does not cover. */
  get past(): readonly KeptTurn[] {
    return this.#past;
  }

  get checkpoint(): Checkpoint | undefined {
    return this.#checkpoint;
  }

  /** Bytes that may still be kept. */
  get roomBytes(): number {
    return Math.max(0, this.#maxBytes - this.#pastBytes);
  }

  /** A copy of a turn's input, which its owner may change once the turn has started. */
  keep(input: TurnInput): TurnInput | undefined {
    if (turnBytes(input) > this.roomBytes) return undefined;
    return { ...input, tensors: input.tensors.map(copyTensor) };
  }

  /** The session is opened once more, under another name: what a hoster gave before is of no use. */
  openedAnew(): void {
    this.#checkpoint = undefined;
  }

  /** A checkpoint within turn `running`, of which records below `next` have arrived. */
  offer(checkpoint: Checkpoint, running: number, next: number): boolean {
    const { position } = checkpoint;
    // One ahead of what has arrived would leave records out.
    if (position > next || position <= (this.#checkpoint?.position ?? -1)) return false;
    this.#checkpoint = checkpoint;
    this.#forget((past) => past.turn < running && past.position < position);
    return true;
  }

  /** A turn has ended; `position` is where it began. */
  ended(
    turn: number,
    position: number,
    input: TurnInput | undefined,
    live: boolean,
    checkpoint: Checkpoint | undefined,
  ): void {
    if (checkpoint !== undefined) {
      this.#checkpoint = checkpoint;
      this.#forget(() => true);
      return;
    }
    const kept = live ? undefined : input;
    const bytes = kept === undefined ? 0 : turnBytes(kept);
    const last = this.#past.at(-1);
    // After a turn that was not kept nothing helps but a checkpoint.
    if (last !== undefined && last.input === undefined) return;
    this.#past.push({ turn, position, input: kept, bytes });
    this.#pastBytes += bytes;
  }

  /**
   * What to send, besides the turn that runs, which follows. Throws SESSION_LOST where something is
   * missing.
   */
  resume(running: RunningInput, deliveredPosition: number): ResumeRequest {
    const { turn, input, replayable } = running;
    const lost = this.#past.find((past) => past.input === undefined);
    if (lost !== undefined || input === undefined || !replayable)
      throw new CabstandError(
        'SESSION_LOST',
        `the hoster is lost, and the input of turn ${lost?.turn ?? turn} was not kept: no checkpoint ` +
          `covers it and it is more than maxReplayBytes (${this.#maxBytes})`,
        { metadata: { field: 'maxReplayBytes', value: String(this.#maxBytes) } },
      );
    return {
      checkpoint: this.#checkpoint,
      replay: this.#past.flatMap((past) =>
        past.input === undefined
          ? []
          : [{ turn: past.turn, position: past.position, input: past.input }],
      ),
      deliveredPosition,
      turn,
    };
  }

  #forget(covered: (past: PastTurn) => boolean): void {
    this.#past = this.#past.filter((past) => !covered(past));
    this.#pastBytes = this.#past.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

function turnBytes(input: TurnInput): number {
  return inputBytes(input.tensors) + input.prompt.length + input.parameters.length;
}

/** A tensor whose memory is its own. */
export function copyTensor(tensor: Tensor): Tensor {
  return {
    ...tensor,
    shape: [...tensor.shape],
    data: new Uint8Array(tensor.data),
    ...(tensor.strings === undefined ? {} : { strings: [...tensor.strings] }),
  };
}
