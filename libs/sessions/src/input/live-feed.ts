import type { Tensor } from '@cabstand/tensor';
import type { ComputationEvents } from '../engine/computation-init';
import type { EngineSlot } from '../engine/slot';
import type { Commands } from '../module/commands';
import type { InputCheck } from './input-check';
import { LiveInput } from './live-input';
import type { LivePart, LiveStart } from './live-input';
import type { SessionOptionsWithDefaults } from '../options';
import type { Delivery } from '../records/delivery';
import type { SessionFacts } from '../session-facts';
import type { Turns } from '../turns';
import type { SessionNotice } from '../types';

interface LiveFeedInit {
  readonly session: Pick<SessionFacts, 'durable' | 'model'>;
  readonly options: Pick<SessionOptionsWithDefaults, 'liveParts' | 'liveBytes'>;
  readonly turns: Turns;
  readonly slot: EngineSlot;
  readonly inputs: InputCheck;
  /** Undefined for models of other kinds. */
  readonly module: { readonly commands: Commands } | undefined;
  readonly delivery: Pick<Delivery, 'full'>;
  /** Told that the parts came, and that a frame needs more of them. */
  readonly events: Pick<ComputationEvents, 'accepted'>;
}

/** Brings live input, and commands to a module, to the engine as fast as it takes it, whichever engine that is. */
export class LiveFeed {
  readonly #init: LiveFeedInit;

  constructor(init: LiveFeedInit) {
    this.#init = init;
  }

  /** The live input of a turn that starts; `start`: where one goes on that was restored. */
  open(start: LiveStart | undefined): LiveInput {
    const { session, options } = this.#init;
    const { liveParts: parts, liveBytes: bytes } = options;
    const limits = { parts, bytes, keep: session.durable };
    return new LiveInput(limits, session.model.signature.framed, start);
  }

  /** Takes a part from the consumer; see `Session.input`. */
  take(turn: number, part: number, tensors: readonly Tensor[], last: boolean): void {
    const live = this.#init.turns.liveInput(turn);
    if (live?.expects(part) !== true) return;
    this.#init.inputs.part(tensors);
    live.checkRoom();
    const sequence = live.sendsNext && !this.#waits ? this.#init.slot.sequence : undefined;
    // What it throws is for whoever sent the part, and may send it again: nothing was taken.
    sequence?.input(turn, part, tensors, last);
    live.accept({ part, tensors, last });
    if (sequence !== undefined) live.markSent();
    if (live.wanted !== undefined) this.#init.events.accepted(turn, live, false);
  }

  /** No more parts come: the turn that runs ends when those that came are used up. */
  end(): void {
    const live = this.#init.turns.running?.live;
    if (live === undefined || live.complete) return;
    this.takeAgain(live, [{ part: live.next, tensors: [], last: true }]);
  }

  /** Takes parts that are to be computed again. */
  takeAgain(live: LiveInput | undefined, parts: readonly LivePart[]): void {
    for (const part of parts) if (live?.expects(part.part) === true) live.accept(part);
    this.pump();
  }

  /** Whether a part waits until its reader has, or acknowledges, what is kept. */
  get waitsForReader(): boolean {
    return this.#waits && this.#init.turns.running?.live?.unsent !== undefined;
  }

  /** A module that is given a part makes a record of that without credit, where steps of other models need some. */
  get #waits(): boolean {
    return this.#init.module !== undefined && this.#init.delivery.full;
  }

  /** Sends the engine what it can take now. */
  pump(): void {
    const { running } = this.#init.turns;
    const { sequence } = this.#init.slot;
    if (running === undefined || sequence === undefined) return;
    const { live, turn } = running;
    try {
      for (let next = live?.unsent; next !== undefined && !this.#waits; next = live?.unsent) {
        sequence.input(turn, next.part, next.tensors, next.last);
        live?.markSent();
      }
      this.#init.module?.commands.pump((command) => sequence.command(turn, command));
    } catch {
      // Too much waits for the engine.
      this.#init.slot.retrySoon();
    }
  }
}

/** How much of a turn's live input is used up, and whether a frame needs more than came. */
export function acceptedNotice(
  turn: number,
  { taken, wanted }: Pick<LiveInput, 'taken' | 'wanted'>,
): SessionNotice {
  return { kind: 'accepted', turn, nextInput: taken, wanted };
}
