import { CabstandError, backoffDelay, linkSignals, sleep, throwIfAborted } from '@cabstand/core';
import type { ChannelStart, PreparedChannel, SessionChannel, Target } from '../protocol/types';
import { unreserved } from '../remote/types';
import type { Placement } from '../remote/types';
import { decideRetry, goneAtHoster } from '../retry/decide';
import { nodeKey } from '../retry/exclusions';
import type { ActiveTurn } from './active-turn';
import type { Move } from './move';
import { established, isFinal, placesFor, sendInput, sendTurn } from './placing';
import type { CoreContext, Standing } from './standing';

/** From when a stream broke until a record shows that it goes on. */
interface Break {
  readonly cause: CabstandError;
  readonly from: Target;
  readonly position: number;
  readonly since: number;
  /** Streams that took up the session and broke without a record. */
  inRow: number;
  /** Hosters tried. */
  attempts: number;
  /** Times that an engine died here. */
  engineDeaths: number;
  /** Where the session was taken up last. */
  to: Target;
}

/** Where a session may go on; `prepared` if a stream to it is open already. */
interface Candidate {
  readonly place: Placement;
  readonly prepared?: PreparedChannel;
}

/** Finds a stream for a turn whose stream broke: at the hoster that has the session, or elsewhere. */
export class Recovery {
  readonly #context: CoreContext;
  readonly #standing: Standing;
  readonly #move: Move;
  #break: Break | undefined;

  constructor(context: CoreContext, standing: Standing, move: Move) {
    this.#context = context;
    this.#standing = standing;
    this.#move = move;
  }

  /** Whether a stream broke and no record has come since. */
  get underWay(): boolean {
    return this.#break !== undefined;
  }

  /** A record is here: what was broken is whole again. */
  recordArrived(): void {
    const broken = this.#break;
    if (broken === undefined) return;
    this.#break = undefined;
    const { cause, from, to, position, since, attempts } = broken;
    const gapMs = this.#context.clock.monotonic() - since;
    this.#context.emit('recovered', { cause, from, to, position, gapMs, attempts });
  }

  /**
   * A stream that goes on at the next position. Throws the error where it is not for a resume to mend,
   * and what stood in the way last when `recoverMs` is over.
   */
  async regain(turn: ActiveTurn, error: CabstandError): Promise<SessionChannel> {
    const { clock, settings } = this.#context;
    const { closing, state } = this.#standing;
    const decision = decideRetry(error, {
      phase: 'streaming',
      attempts: 0,
      maxAttempts: 0,
      resumable: settings.durable,
    });
    if (decision.action !== 'resume' || (state.kind !== 'open' && state.kind !== 'recovering')) {
      this.#move.drop(error);
      throw error;
    }
    const successor = this.#move.take();
    const broken = this.#begin(successor === undefined ? error : wanted(state.node), state.node);
    this.#standing.state = { kind: 'recovering', node: state.node };
    const told = { last: error };
    const leftMs = settings.timeouts.recoverMs - (clock.monotonic() - broken.since);
    using deadline = linkSignals([closing.signal], {
      ms: leftMs,
      what: 'going on elsewhere',
      clock,
    });
    try {
      if (successor !== undefined) {
        const moved = await this.#resumeAt(successor, turn, broken, told, deadline.signal);
        if (moved !== undefined) return moved;
      }
      return await this.#search(turn, broken, decision.reattach, told, deadline.signal);
    } catch (thrown) {
      // Out of time: what was in the way says more than that.
      throw deadline.signal.aborted && !closing.signal.aborted ? told.last : thrown;
    }
  }

  /** A turn ended while its session was on the move: the next one goes on elsewhere. */
  turnEnded(): void {
    const { state } = this.#standing;
    if (!this.#move.drop(new CabstandError('CANCELLED', 'the turn is over'))) return;
    if (state.kind === 'open') this.#standing.state = { kind: 'recovering', node: state.node };
  }

  #begin(cause: CabstandError, from: Target): Break {
    const { clock, emit } = this.#context;
    const position = this.#standing.guard.next;
    const known = this.#break;
    const broken = known ?? {
      cause,
      from,
      position,
      since: clock.monotonic(),
      inRow: 0,
      attempts: 0,
      engineDeaths: 0,
      to: from,
    };
    if (known === undefined) {
      this.#break = broken;
      emit('recovering', { cause, from, position });
    } else {
      known.inRow++;
      this.#tellRetry(cause, known.to);
    }
    if (cause.reason === 'ENGINE_CRASHED' || cause.reason === 'ENGINE_STALLED')
      if (++broken.engineDeaths >= 2)
        throw new CabstandError(
          'TURN_POISONED',
          `two engines died at position ${position}: ${cause.message}`,
          { cause, metadata: { position: String(position) } },
        );
    return broken;
  }

  /** A hoster that was to go on did not come to a record. */
  #tellRetry(error: CabstandError, node: Target): void {
    const attempt = this.#break?.attempts ?? 0;
    this.#context.retry.onRetry({ error, attempt, waitMs: 0, node });
  }

  async #search(
    turn: ActiveTurn,
    broken: Break,
    reattach: boolean,
    told: { last: CabstandError },
    signal: AbortSignal,
  ): Promise<SessionChannel> {
    const { placement } = this.#context;
    const { state } = this.#standing;
    const home = state.kind === 'recovering' ? state.node : broken.from;
    let blamed = false;
    const blame = (error: CabstandError): void => {
      if (!blamed && error.class === 'node')
        placement.settle(home, { kind: 'failed', error, leaseId: undefined });
      blamed = true;
    };
    /** Home answers, but does not have the session. */
    let vacant = false;
    let alone = broken.inRow === 0;
    for (let cycle = 0; ; cycle++) {
      throwIfAborted(signal);
      await this.#pause(cycle + broken.inRow, told.last, signal);
      // Side by side: whichever way it goes, the next step needs no more waiting.
      // A stream waits: only where the first place was none, a router is asked for a better one.
      const known = cycle + broken.inRow === 0;
      const finding = placesFor(this.#context, this.#standing, home, known, signal);
      if (reattach && alone) {
        const attached = await this.#attachSomewhere(turn, home, signal);
        if (!CabstandError.is(attached)) return attached;
        vacant = isVacant(attached);
        reattach = !vacant;
        if (!vacant) told.last = attached;
      }
      blame(broken.cause);
      const places = await finding;
      throwIfAborted(signal);
      if (CabstandError.is(places)) {
        if (isFinal(places)) throw places;
        // That there is no other hoster says less than why this one is lost.
        if (places.reason !== 'NO_NODE') told.last = places;
      }
      const found = CabstandError.is(places) ? [] : places;
      alone = found.every(({ node }) => nodeKey(node) === nodeKey(home));
      const list = vacant && alone ? [unreserved(home), ...found] : found;
      for (const place of list) {
        if (!(vacant && place.node === home) && !placement.enter(place.node)) continue;
        const resumed = await this.#resumeAt({ place }, turn, broken, told, signal);
        if (resumed !== undefined) return resumed;
      }
    }
  }

  /** Waits before all but the first attempt to make a break good. Never gives up for want of budget. */
  async #pause(failures: number, last: CabstandError, signal: AbortSignal): Promise<void> {
    if (failures === 0) return;
    const { settings, budget, random } = this.#context.retry;
    // Without budget the pace is that of everybody else whose hosters are gone: slow.
    const ms = budget.take()
      ? backoffDelay(failures - 1, { ...settings, random })
      : settings.maxMs * (0.5 + random() / 2);
    const asked = last.class === 'overload' ? (last.retryAfterMs ?? 0) : 0;
    await sleep(Math.max(1, ms, asked), signal, this.#context.clock);
  }

  /**
   * Takes the session up where it was, or where routers say that it is. Throws what another hoster would
   * say, too; otherwise gives the error of the one that had it last.
   */
  async #attachSomewhere(
    turn: ActiveTurn,
    home: Target,
    signal: AbortSignal,
  ): Promise<SessionChannel | CabstandError> {
    const { placement, settings, clock } = this.#context;
    const standing = this.#standing;
    const attempt = async (node: Target): Promise<SessionChannel | CabstandError> => {
      for (;;)
        try {
          return await this.#attach(turn, node, signal);
        } catch (thrown) {
          const error = CabstandError.from(thrown);
          throwIfAborted(signal);
          if (this.#claims(error)) continue;
          if (!isVacant(error) && isFinal(error)) throw error;
          return error;
        }
    };
    const attached = await attempt(home);
    // Only another process can have left it anywhere else.
    if (!CabstandError.is(attached) || !standing.claims || placement.locate === undefined)
      return attached;
    using brief = linkSignals([signal], {
      ms: settings.timeouts.firstMs,
      what: 'locating the session',
      clock,
    });
    const nodes = await placement.locate(standing.sessionId, brief.signal).catch(() => []);
    for (const node of nodes) {
      if (nodeKey(node) === nodeKey(home)) continue;
      const found = await attempt(node);
      if (!CabstandError.is(found)) return found;
    }
    return attached;
  }

  /** Fenced off by the process that had it before: this one was asked to take over. */
  #claims(error: CabstandError): boolean {
    const standing = this.#standing;
    const current = Number(error.metadata['current_epoch']);
    if (error.reason !== 'EPOCH_FENCED' || !standing.claims) return false;
    if (!(current >= standing.highestEpoch)) return false;
    standing.claimAbove(current);
    return true;
  }

  /** Takes the session up where it was. */
  async #attach(turn: ActiveTurn, home: Target, signal: AbortSignal): Promise<SessionChannel> {
    const { protocol, placement, settings, clock } = this.#context;
    const { sessionId, epoch, guard } = this.#standing;
    const channel = protocol.openChannel(home, {
      kind: 'attach',
      sessionId,
      epoch,
      fromPosition: guard.next,
    });
    // It may not have come to the turn; neither may a resume that was given up, and that arrived.
    const resumed = (this.#break?.attempts ?? 0) > 0;
    if (!turn.taken || resumed) sendInput(channel, turn);
    await established(channel, settings.timeouts.reattachMs, clock, signal);
    placement.settle(home, { kind: 'served' });
    this.#taken(turn, home, channel);
    turn.live?.started(channel, resumed);
    return channel;
  }

  /**
   * Activates a successor; undefined where it failed or refused, which is `told` then. Throws what another
   * one would say, too.
   */
  async #resumeAt(
    { place, prepared }: Candidate,
    turn: ActiveTurn,
    broken: Break,
    told: { last: CabstandError },
    signal: AbortSignal,
  ): Promise<SessionChannel | undefined> {
    const { protocol, placement, settings, clock } = this.#context;
    const standing = this.#standing;
    const { node, lease } = place;
    try {
      const resume = standing.continuation.resume(
        { turn: turn.turn, input: turn.input, replayable: turn.live?.replayable() !== false },
        standing.guard.next - 1,
      );
      broken.attempts++;
      const open: ChannelStart = {
        kind: 'open',
        sessionId: standing.sessionId,
        epoch: standing.nextEpoch(),
        durable: true,
        model: settings.model,
        priority: settings.priority,
        ticket: lease?.ticket ?? '',
        resume,
      };
      standing.raiseEpoch();
      const channel = prepared?.begin(open) ?? protocol.openChannel(node, open);
      sendTurn(channel, turn);
      await established(channel, settings.timeouts.firstMs, clock, signal);
      placement.settle(node, { kind: 'served' });
      this.#taken(turn, node, channel);
      return channel;
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      prepared?.cancel(error);
      if (this.#claims(error)) placement.settle(node, { kind: 'undecided' });
      else {
        told.last = this.#settle(place, error, signal);
        this.#tellRetry(error, node);
      }
      return undefined;
    }
  }

  // From here on whoever has a higher epoch came later.
  #taken(turn: ActiveTurn, node: Target, channel: SessionChannel): void {
    if (this.#break !== undefined) this.#break.to = node;
    this.#standing.opened(node, channel);
    this.#standing.claims = false;
    if (turn.cancelled) channel.send({ kind: 'cancel', turn: turn.turn });
  }

  /** A successor failed or refused. Throws where another one would, too. */
  #settle(place: Placement, error: CabstandError, signal: AbortSignal): CabstandError {
    const { placement } = this.#context;
    const { node, lease } = place;
    if (signal.aborted) placement.settle(node, { kind: 'undecided' });
    else if (error.class === 'node')
      placement.settle(node, { kind: 'failed', error, leaseId: lease?.id });
    else if (isFinal(error)) placement.settle(node, { kind: 'undecided' });
    else placement.settle(node, { kind: 'refused', error });
    throwIfAborted(signal);
    if (isFinal(error)) throw error;
    return error;
  }
}

const wanted = ({ address }: Target): CabstandError =>
  new CabstandError('DRAINING', `${address} wants to go`);

/** A hoster that answers, and does not have the session, or not what is wanted of it. */
function isVacant(error: CabstandError): boolean {
  return goneAtHoster(error) || error.reason === 'POSITION_INVALID';
}
