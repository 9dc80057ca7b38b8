import { CabstandError, backoffDelay, linkSignals, sleep, throwIfAborted } from '@cabstand/core';
import type { SessionChannel, Target } from '../protocol/types';
import { unreserved } from '../remote/types';
import { commandsWait, decideRetry, goneAtHoster, trustEnded } from '../retry/decide';
import { nodeKey } from '../retry/exclusions';
import type { ActiveTurn } from './active-turn';
import { countEngineDeath, tellRetry } from './break';
import type { Break, GoingOn } from './break';
import type { Move } from './move';
import { isFinal, placesFor } from './placing';
import { isExchange, noSurvival, onlyOthers } from './endings';
import { reattach } from './reattach';
import { resumeAt } from './resume';
import type { CoreContext, Standing } from './standing';

/** A stream that was taken up and then lasted so long, in milliseconds, was whole, record or none. */
const LASTED_MS = 1000;

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
    if (this.#break !== undefined) this.#mended(this.#break);
  }

  #mended(broken: Break): void {
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
    const standing = this.#standing;
    const { closing, state } = standing;
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
    standing.broke();
    const leftMs = settings.timeouts.recoverMs - (clock.monotonic() - broken.since);
    using deadline = linkSignals([closing.signal], {
      ms: leftMs,
      what: 'going on elsewhere',
      clock,
    });
    const { signal } = deadline;
    const on: GoingOn = {
      ...{ context: this.#context, standing, turn, broken, signal, last: error },
      exchanged: isExchange(error) ? error : undefined,
    };
    try {
      if (successor !== undefined) {
        const moved = await resumeAt(on, successor);
        if (moved !== undefined) return moved;
      }
      return await this.#search(on, decision.reattach);
    } catch (thrown) {
      // Out of time: what was in the way says more than that.
      throw signal.aborted && !closing.signal.aborted ? (on.exchanged ?? on.last) : thrown;
    }
  }

  /** A turn ended while its session was on the move: the next one goes on elsewhere. */
  turnEnded(): void {
    if (this.#move.drop(new CabstandError('CANCELLED', 'the turn is over'))) this.#standing.broke();
  }

  #begin(cause: CabstandError, from: Target): Break {
    const { clock, emit } = this.#context;
    const position = this.#standing.guard.next;
    // Credentials end now and then while a turn waits for input of its caller.
    if (this.#break !== undefined && trustEnded(cause) && this.#lasted(this.#break))
      this.#mended(this.#break);
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
      takenUpAt: undefined,
    };
    if (known === undefined) {
      this.#break = broken;
      emit('recovering', { cause, from, position });
    } else {
      known.inRow++;
      tellRetry(this.#context, known, cause, known.to);
    }
    if (cause.reason === 'ENGINE_CRASHED' || cause.reason === 'ENGINE_STALLED')
      countEngineDeath(broken, cause, position);
    return broken;
  }

  #lasted({ takenUpAt }: Break): boolean {
    return takenUpAt !== undefined && this.#context.clock.monotonic() - takenUpAt >= LASTED_MS;
  }

  async #search(on: GoingOn, attachFirst: boolean): Promise<SessionChannel> {
    const { context, standing, broken, signal } = on;
    const { placement } = context;
    const { state } = standing;
    const home = state.kind === 'recovering' ? state.node : broken.from;
    let attaches = attachFirst;
    let blamed = false;
    const blame = (error: CabstandError): void => {
      if (!blamed && error.class === 'node')
        placement.settle(home, { kind: 'failed', error, leaseId: undefined });
      blamed = true;
    };
    /** Home answers, but does not have the session. */
    let vacant = false;
    let alone = broken.inRow === 0 || commandsWait(on.last);
    for (let cycle = 0; ; cycle++) {
      throwIfAborted(signal);
      await this.#pause(cycle + broken.inRow, on.last, signal);
      // A stream waits: only where the first place was none, a router is asked for a better one.
      const known = cycle + broken.inRow === 0;
      const find = () => placesFor(context, standing, home, known, signal);
      // Side by side: whichever way it goes, the next step needs no more waiting. A hoster that has just said that
      // it has the session will hardly refuse it: a place elsewhere would be reserved for nobody.
      const early = attaches && alone && standing.joins ? undefined : find();
      if (attaches && alone) {
        const attached = await reattach(on, home);
        if (!CabstandError.is(attached)) return attached;
        vacant = goneAtHoster(attached);
        attaches = !vacant;
        if (!vacant) on.last = attached;
      }
      blame(broken.cause);
      if (standing.survival === 'none') throw noSurvival(on.last);
      const places = await (early ?? find());
      throwIfAborted(signal);
      if (CabstandError.is(places)) {
        if (isFinal(places)) throw places;
        // That there is no other hoster says less than why this one is lost.
        if (places.reason !== 'NO_NODE') on.last = places;
        // Home is back with other weights, and nobody has those that the session began with.
        else if (places.metadata['cause'] === 'digest') {
          if (on.last.reason === 'SESSION_LOST') throw on.last;
          on.exchanged ??= onlyOthers(on.last);
        } else if (places.metadata['other_digests'] !== undefined)
          on.exchanged ??= onlyOthers(on.last);
      }
      const found = CabstandError.is(places) ? [] : places;
      alone = found.every(({ node }) => nodeKey(node) === nodeKey(home));
      const list = vacant && alone ? [unreserved(home), ...found] : found;
      for (const place of list) {
        if (!(vacant && place.node === home) && !placement.enter(place.node)) continue;
        const resumed = await resumeAt(on, { place });
        if (resumed !== undefined) return resumed;
      }
    }
  }

  /**
   * Waits before all but the first attempt to make a break good, and before that where the hoster is well and wants it.
   * Never gives up for want of budget.
   */
  async #pause(failures: number, last: CabstandError, signal: AbortSignal): Promise<void> {
    const full = commandsWait(last);
    if (failures === 0 && !full) return;
    const { settings, budget, random } = this.#context.retry;
    // Without budget the pace is that of everybody else whose hosters are gone: slow.
    const ms = budget.take()
      ? backoffDelay(Math.max(0, failures - 1), { ...settings, random })
      : settings.maxMs * (0.5 + random() / 2);
    const asked = last.class === 'overload' ? (last.retryAfterMs ?? 0) : 0;
    await sleep(Math.max(1, ms, asked), signal, this.#context.clock);
  }
}

const wanted = ({ address }: Target): CabstandError =>
  new CabstandError('DRAINING', `${address} wants to go`);
