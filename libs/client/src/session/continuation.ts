import { CabstandError, ReplayLog } from '@cabstand/core';
import type { Tensor } from '@cabstand/tensor';
import type { Checkpoint, RecordEvent, Survival } from '../protocol/events';
import type { GivenRecord, ResumeRequest, TurnInput } from '../protocol/types';
import type { KeptTurn } from './handle';
import { inputBytes } from './input';

/** A turn that has ended. */
interface PastTurn {
  readonly turn: number;
  readonly position: number;
  readonly input: TurnInput;
  readonly bytes: number;
}

/** What a module was given, as it was told. */
interface Given {
  readonly turn: number;
  readonly position: number;
  readonly record: GivenRecord;
  readonly bytes: number;
}

/** Most entries that hosters take with a resume. */
const MOST_GIVEN = 10_000;
/** Bytes of an entry beside its content: an estimate. */
const GIVEN_BYTES = 64;

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
  readonly #past: ReplayLog<PastTurn>;
  /** The first turn since the checkpoint that was not kept: nothing helps after it but a checkpoint. */
  #lost: KeptTurn | undefined;

  /** Of modules that survive by replay. */
  readonly #given: ReplayLog<Given>;
  /** Of the last record that arrived. */
  #chain = 0;

  constructor(maxBytes: number, checkpoint?: Checkpoint, past: readonly KeptTurn[] = []) {
    this.#maxBytes = maxBytes;
    this.#given = new ReplayLog({ items: MOST_GIVEN, bytes: maxBytes });
    this.#past = new ReplayLog({ bytes: maxBytes });
    this.#checkpoint = checkpoint;
    for (const { turn, position, input } of past)
      this.ended(turn, position, input, false, undefined);
  }

  /** Turns that the checkpoint does not cover. */
  get past(): readonly KeptTurn[] {
    const kept = this.#past.since();
    return this.#lost === undefined ? kept : [...kept, this.#lost];
  }

  /** What a module was given since the checkpoint. Undefined where not all of it is here. */
  get given(): readonly GivenRecord[] | undefined {
    return this.#given.complete ? this.#given.since().map(({ record }) => record) : undefined;
  }

  /** `chain` of the last record that arrived; 0 for none. */
  get chain(): number {
    return this.#chain;
  }

  get checkpoint(): Checkpoint | undefined {
    return this.#checkpoint;
  }

  /** Bytes that may still be kept. */
  get roomBytes(): number {
    return this.#past.roomBytes;
  }

  /**
   * A copy of a turn's input, which its owner may change once the turn has started.
   *
   * @param shared it does not: memory is copied only where it would hold much else
   */
  keep(input: TurnInput, shared = false): TurnInput | undefined {
    if (turnBytes(input) > this.roomBytes) return undefined;
    const kept = (tensor: Tensor) => (shared && fillsMemory(tensor) ? tensor : copyTensor(tensor));
    return { ...input, tensors: input.tensors.map(kept) };
  }

  /** The session is opened once more, under another name: what a hoster gave before is of no use. */
  openedAnew(): void {
    this.#checkpoint = undefined;
  }

  /** A record arrived, and counts. */
  arrived(record: RecordEvent, survival: Survival | undefined): void {
    this.#chain = record.chain ?? 0;
    if (survival !== 'replay') return;
    const { turn, position } = record;
    switch (record.body) {
      case 'command':
      case 'input':
      case 'recorded':
        this.#given.append({ turn, position, record, bytes: GIVEN_BYTES + contentOf(record) });
        return;
      default:
    }
  }

  /** Another process had the session: what arrived there. `given` undefined: it was too much. */
  takeOver(given: readonly GivenRecord[] | undefined, chain: number, position: number): void {
    for (const record of given ?? []) this.arrived(record, 'replay');
    if (given === undefined) this.#given.skip(position - 1);
    this.#chain = chain;
  }

  /** A checkpoint within the turn that runs, of which records below `next` have arrived. */
  offer(checkpoint: Checkpoint, next: number): boolean {
    const { position } = checkpoint;
    // One ahead of what has arrived would leave records out.
    if (position > next || position <= (this.#checkpoint?.position ?? -1)) return false;
    this.#checkpoint = checkpoint;
    this.#covered(position);
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
      this.#covered(checkpoint.position);
      return;
    }
    if (this.#lost !== undefined) return;
    if (live || input === undefined) {
      this.#lost = { turn, position, input: undefined };
      this.#past.skip(position);
    } else this.#past.append({ turn, position, input, bytes: turnBytes(input) });
  }

  /**
   * What to send, besides the turn that runs, which follows. Throws SESSION_LOST where something is
   * missing.
   */
  resume(running: RunningInput, deliveredPosition: number): Omit<ResumeRequest, 'servedEpoch'> {
    const { turn, input, replayable } = running;
    if (!this.#given.complete)
      throw new CabstandError(
        'SESSION_LOST',
        `the hoster is lost, and what the module of turn ${turn} was given was not kept: no checkpoint covers ` +
          `it and it is more than maxReplayBytes (${this.#maxBytes}), or more than ${MOST_GIVEN} entries`,
        { metadata: { field: 'maxReplayBytes', value: String(this.#maxBytes) } },
      );
    if (!this.#past.complete || input === undefined || !replayable)
      throw new CabstandError(
        'SESSION_LOST',
        `the hoster is lost, and the input of turn ${this.#lost?.turn ?? turn} was not kept: no checkpoint ` +
          `covers it and it is more than maxReplayBytes (${this.#maxBytes})`,
        { metadata: { field: 'maxReplayBytes', value: String(this.#maxBytes) } },
      );
    return {
      checkpoint: this.#checkpoint,
      replay: [...this.#past.since(), ...this.#given.since()],
      deliveredPosition,
      turn,
      chain: this.#chain,
    };
  }

  #covered(position: number): void {
    this.#past.covered(position);
    this.#given.covered(position);
    if (this.#past.complete) this.#lost = undefined;
  }
}

function contentOf(record: GivenRecord): number {
  switch (record.body) {
    case 'command':
      return record.name.length + record.arguments.length;
    case 'recorded':
      return record.name.length + record.json.length;
    case 'input':
      return 0;
  }
}

function turnBytes(input: TurnInput): number {
  return inputBytes(input.tensors) + input.prompt.length + input.parameters.length;
}

/** Most of the memory that it lies in is its own: small ones lie in what was read of a connection at once. */
function fillsMemory({ data }: Tensor): boolean {
  return data.byteLength * 2 >= data.buffer.byteLength;
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
