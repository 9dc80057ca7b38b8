import type { Seal } from './checkpoint-sealer';
import type { Delivery } from '../records/delivery';
import type { CheckpointBody } from './checkpoint-body';
import type { Checkpoint, Consumer } from '../types';

/** Gives the consumer the newest checkpoint, once it has the records before it. */
export class CheckpointSender {
  readonly #delivery: Delivery;
  readonly #seal: Seal;
  #offered = -1;
  #leaving = false;
  /** The newest that was sealed. */
  #sealed:
    { readonly state: CheckpointBody; readonly checkpoint: Checkpoint | undefined } | undefined;

  constructor(delivery: Delivery, seal: Seal) {
    this.#delivery = delivery;
    this.#seal = seal;
  }

  /**
   * The newest one is worth telling, though it may have been told. `inRecord`: of which state the newest record
   * carries the checkpoint.
   */
  again(inRecord?: Pick<CheckpointBody, 'position'>): void {
    this.#offered = inRecord?.position ?? -1;
    this.#sealed = undefined;
  }

  /**
   * The session leaves: its last state is told whatever it is. Answers it as a checkpoint; undefined
   * where there is none, or nothing in it.
   */
  leaving(state: CheckpointBody | undefined): Checkpoint | undefined {
    this.#leaving = true;
    this.again();
    return state === undefined || state.turn < 0 ? undefined : this.#checkpointOf(state);
  }

  offer(state: CheckpointBody | undefined, consumer: Consumer): void {
    if (state === undefined || this.#offered >= state.position) return;
    if (this.#delivery.sent < state.position) return;
    this.#offered = state.position;
    // The state after a turn came with the turn's end, that before the first is nothing.
    const news = state.deaths !== undefined || (state.turn >= 0 && (this.#leaving || !state.ended));
    // The one before may be large, and the session idle for long.
    if (!news) this.#sealed = undefined;
    const checkpoint = news ? this.#checkpointOf(state) : undefined;
    if (checkpoint !== undefined) consumer.notice({ kind: 'checkpoint', checkpoint });
  }

  #checkpointOf(state: CheckpointBody): Checkpoint | undefined {
    if (this.#sealed?.state !== state) this.#sealed = { state, checkpoint: this.#seal(state) };
    return this.#sealed.checkpoint;
  }
}
