import { CabstandError, backoffDelay, linkSignals, sleep, throwIfAborted } from '@cabstand/core';
import type { Checkpoint } from '../protocol/events';
import type { SessionChannel, Target } from '../protocol/types';
import type { Placement } from '../remote/types';
import { nodeKey } from '../retry/exclusions';
import type { ActiveTurn } from './active-turn';
import { established, placesFor, sendTurn } from './placing';
import type { CoreContext, Standing } from './standing';

/** A hoster that goes on at `position`. It has the turn. */
export interface Successor {
  readonly node: Target;
  readonly channel: SessionChannel;
  readonly position: number;
  readonly checkpoint: Checkpoint | undefined;
  readonly cause: CabstandError;
}

interface Under {
  readonly turn: ActiveTurn;
  /** The old hoster was told to stop: there is no way back. */
  handedOver: boolean;
  readonly stop: () => void;
  result: Promise<Successor | undefined>;
}

/** Where a hoster gives no deadline. */
const DEFAULT_DEADLINE_MS = 30_000;

/**
 * Takes a session off a hoster that wants to go, while it still streams: a place elsewhere first, then
 * the handover, and only with the old hoster's last word the new one starts. Nothing is computed twice.
 */
export class Move {
  readonly #context: CoreContext;
  readonly #standing: Standing;
  /** The hoster that wants to go, and until when it waits. */
  #asked: { readonly home: Target; readonly until: number } | undefined;
  #under: Under | undefined;

  constructor(context: CoreContext, standing: Standing) {
    this.#context = context;
    this.#standing = standing;
  }

  /** The hoster of the turn wants to go. */
  begin(turn: ActiveTurn, deadlineMs: number): void {
    const { state } = this.#standing;
    if (state.kind !== 'open') return;
    const until = this.#context.clock.monotonic() + (deadlineMs || DEFAULT_DEADLINE_MS);
    this.#asked = { home: state.node, until };
    this.#start(turn);
  }

  /** A turn has begun: one before may have been too short to move it. */
  turnBegan(turn: ActiveTurn): void {
    const { state } = this.#standing;
    if (this.#asked === undefined || state.kind !== 'open') return;
    if (nodeKey(this.#asked.home) === nodeKey(state.node)) this.#start(turn);
    else this.#asked = undefined;
  }

  /** The successor, once the old hoster's stream is over; undefined where there is none to go on with. */
  async take(turn: ActiveTurn): Promise<Successor | undefined> {
    const under = this.#under;
    if (under === undefined) return undefined;
    this.#under = undefined;
    // It goes without waiting to be handed over: what follows is not a move.
    if (!under.handedOver) under.stop();
    const successor = await under.result;
    if (successor === undefined) return undefined;
    const { guard } = this.#standing;
    if (under.turn === turn && guard.next === successor.position) return successor;
    // Records that were on their way are lost: they have to be computed again.
    successor.channel.cancel(new CabstandError('CANCELLED', 'the session goes on from elsewhere'));
    return undefined;
  }

  #start(turn: ActiveTurn): void {
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
      turn,
      handedOver: false,
      stop: () => deadline.abort(new CabstandError('CANCELLED', 'the session stays')),
      result: Promise.resolve(undefined),
    };
    under.result = this.#run(under, asked.home, deadline.signal, leftMs)
      // It stays where it is, and is resumed when its hoster goes.
      .catch(() => undefined)
      .finally(() => deadline[Symbol.dispose]());
    this.#under = under;
  }

  async #run(
    under: Under,
    home: Target,
    signal: AbortSignal,
    deadlineMs: number,
  ): Promise<Successor> {
    const { protocol, placement } = this.#context;
    const standing = this.#standing;
    const place = await this.#place(home, signal);
    const { node, lease } = place;
    try {
      const options = { signal, deadlineMs };
      // It does not know the session yet; what matters is that it answers.
      await protocol.status(node, standing.sessionId, options).catch((thrown: unknown) => {
        if (CabstandError.from(thrown).class === 'node') throw thrown;
      });
      throwIfAborted(signal);
      under.handedOver = true;
      const { sessionId, epoch } = standing;
      const given = await protocol.update(
        home,
        { sessionId, epoch },
        { kind: 'handover' },
        options,
      );
      const channel = await this.#open(under.turn, place, given.position, given.checkpoint, signal);
      placement.settle(node, { kind: 'served' });
      const cause = new CabstandError('DRAINING', `${home.address} wants to go`);
      return { node, channel, ...given, cause };
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      placement.settle(
        node,
        error.class === 'node'
          ? { kind: 'failed', error, leaseId: lease?.id }
          : { kind: 'undecided' },
      );
      throw thrown;
    }
  }

  /** A place elsewhere; waits for one as long as the old hoster does. */
  async #place(home: Target, signal: AbortSignal): Promise<Placement> {
    const { settings, random } = this.#context.retry;
    for (let attempt = 0; ; attempt++) {
      const places = await placesFor(this.#context, this.#standing, home, signal);
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

  /** Has the state and the turn there before the last records are here: it need not wait for these. */
  async #open(
    turn: ActiveTurn,
    place: Placement,
    position: number,
    checkpoint: Checkpoint | undefined,
    signal: AbortSignal,
  ): Promise<SessionChannel> {
    const { protocol, settings, clock } = this.#context;
    const standing = this.#standing;
    const resume = standing.continuation.resume(
      { turn: turn.turn, input: turn.input, replayable: turn.live?.replayable() !== false },
      position - 1,
      checkpoint,
    );
    const channel = protocol.openChannel(place.node, {
      kind: 'open',
      sessionId: standing.sessionId,
      epoch: standing.nextEpoch(),
      durable: true,
      model: settings.model,
      priority: settings.priority,
      ticket: place.lease?.ticket ?? '',
      resume,
    });
    sendTurn(channel, turn);
    turn.live?.started(channel, true);
    await established(channel, settings.timeouts.firstMs, clock, signal);
    return channel;
  }
}
