import {
  CabstandError,
  abortable,
  backoffDelay,
  linkSignals,
  sleep,
  throwIfAborted,
} from '@cabstand/core';
import type { PreparedChannel, Target } from '../protocol/types';
import type { Placement } from '../remote/types';
import { nodeKey } from '../retry/exclusions';
import { placesFor } from './placing';
import type { CoreContext, Standing } from './standing';
import { tell } from './telling';

/** A hoster that waits to go on: it has a place for the session, and a stream to it is open. */
export interface Successor {
  readonly place: Placement;
  readonly prepared: PreparedChannel;
}

interface Under {
  /** Set once the old hoster is being told to stop: there is no way back. */
  successor: Successor | undefined;
  readonly stop: () => void;
}

/**
 * How long a handover waits for a record, in milliseconds. Directly behind one the time that it takes is
 * time in which a stream that follows its input would have had no record either.
 */
const LONGEST_WAIT_MS = 50;
/** Where a hoster gives no deadline. */
const DEFAULT_DEADLINE_MS = 30_000;

/**
 * Takes a session off a hoster that wants to go, while it still streams: a place and a stream elsewhere
 * first, then the handover. The old hoster stops at a step boundary and ends its stream with the state;
 * the successor goes on from there, so nothing is computed twice.
 */
export class Move {
  readonly #context: CoreContext;
  readonly #standing: Standing;
  /** The hoster that wants to go, and until when it waits. */
  #asked: { readonly home: Target; readonly until: number } | undefined;
  #under: Under | undefined;
  #onRecord: () => void = () => undefined;

  constructor(context: CoreContext, standing: Standing) {
    this.#context = context;
    this.#standing = standing;
  }

  /** The hoster of the turn that runs wants to go. */
  begin(deadlineMs: number): void {
    const { state } = this.#standing;
    if (state.kind !== 'open') return;
    const until = this.#context.clock.monotonic() + (deadlineMs || DEFAULT_DEADLINE_MS);
    this.#asked = { home: state.node, until };
    this.#start();
  }

  /** A turn has begun: one before may have been too short to move it. */
  turnBegan(): void {
    const { state } = this.#standing;
    if (this.#asked === undefined || state.kind !== 'open') return;
    if (nodeKey(this.#asked.home) === nodeKey(state.node)) this.#start();
    else this.#asked = undefined;
  }

  /** A record of the turn that runs is here. */
  recordArrived(): void {
    this.#onRecord();
  }

  /** The successor, once the old hoster's stream is over; undefined where it was not handed over. */
  take(): Successor | undefined {
    const under = this.#under;
    this.#under = undefined;
    if (under?.successor === undefined) under?.stop();
    return under?.successor;
  }

  /** Lets a successor go that nobody follows. Answers whether there was one. */
  drop(error: CabstandError): boolean {
    const successor = this.take();
    if (successor === undefined) return false;
    successor.prepared.cancel(error);
    this.#context.placement.settle(successor.place.node, { kind: 'undecided' });
    return true;
  }

  #start(): void {
    const { clock } = this.#context;
    const asked = this.#asked;
    if (this.#under !== undefined || asked === undefined) return;
    const leftMs = asked.until - clock.monotonic();
    if (leftMs <= 0) return;
    const deadline = linkSignals([this.#standing.closing.signal], {
      ms: leftMs,
      what: 'moving the session',
      clock,
    });
    const under: Under = {
      successor: undefined,
      stop: () => deadline.abort(new CabstandError('CANCELLED', 'the session stays')),
    };
    this.#under = under;
    void this.#run(under, asked.home, deadline.signal, leftMs)
      // It stays where it is, and is resumed when its hoster goes.
      .catch(() => undefined)
      .finally(() => deadline[Symbol.dispose]());
  }

  async #run(under: Under, home: Target, signal: AbortSignal, deadlineMs: number): Promise<void> {
    const { protocol, placement, settings, clock } = this.#context;
    const place = await this.#place(home, signal);
    const { node, lease } = place;
    const prepared = protocol.prepareChannel(node, this.#standing.trace);
    try {
      using brief = linkSignals([signal], {
        ms: settings.timeouts.firstMs,
        what: 'connecting',
        clock,
      });
      await abortable(prepared.ready, brief.signal);
      await this.#nextRecord(signal);
      throwIfAborted(signal);
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      prepared.cancel(error);
      placement.settle(
        node,
        error.class === 'node'
          ? { kind: 'failed', error, leaseId: lease?.id }
          : { kind: 'undecided' },
      );
      throw thrown;
    }
    under.successor = { place, prepared };
    // An answer would say nothing that the stream does not.
    await tell(this.#context, this.#standing, { kind: 'handover' }, { signal, deadlineMs });
  }

  /** Resolves behind the next record, or soon. */
  #nextRecord(signal: AbortSignal): Promise<void> {
    const arrived = new Promise<void>((resolve) => {
      const timer = this.#context.clock.setTimer(resolve, LONGEST_WAIT_MS, { unref: true });
      this.#onRecord = () => {
        timer.cancel();
        resolve();
      };
    });
    return abortable(arrived, signal);
  }

  /** A place elsewhere; waits for one as long as the old hoster does. */
  async #place(home: Target, signal: AbortSignal): Promise<Placement> {
    const { settings, random } = this.#context.retry;
    for (let attempt = 0; ; attempt++) {
      const places = await placesFor(this.#context, this.#standing, home, false, signal);
      if (!CabstandError.is(places))
        for (const place of places)
          if (nodeKey(place.node) !== nodeKey(home) && this.#context.placement.enter(place.node))
            return place;
      await sleep(
        Math.max(10, backoffDelay(attempt, { ...settings, random })),
        signal,
        this.#context.clock,
      );
    }
  }
}
