import { CabstandError, abortable, linkSignals, throwIfAborted } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { ProtocolEvent, RecordEvent } from '../protocol/events';
import type {
  Epoch,
  EventSource,
  OpenFields,
  SessionChannel,
  SessionProtocol,
  Target,
  TurnInput,
} from '../protocol/types';
import type { Placement, PlacementSource } from '../remote/types';
import { openAgain, openSomewhere } from '../retry/opener';
import type { RetryContext } from '../retry/opener';
import { Acker } from './acker';
import type { TurnResult } from './chunk';
import { closedError, endError, isGone, turnRefusal } from './endings';
import type { Emit } from './events';
import { PositionGuard } from './guard';
import type { SessionSettings } from './options';
import { Watchdog } from './watchdog';

/** Where a session stands. */
export type CoreState =
  /** No hoster has it. */
  | { readonly kind: 'idle' }
  /** A hoster has it; `channel` once the session has a stream of its own. */
  | { readonly kind: 'open'; readonly node: Target; readonly channel: SessionChannel | undefined }
  /** Its hoster lost it. */
  | { readonly kind: 'failed'; readonly error: CabstandError }
  | { readonly kind: 'closed' };

/** What a turn is, to the core. */
export interface TurnSpec {
  readonly input: TurnInput;
  /** Set for a turn whose input comes in parts. */
  readonly live?: {
    /** A channel took the turn: send the parts from the first. */
    readonly started: (channel: SessionChannel, turn: number) => void;
    readonly accepted: (nextPart: number) => void;
    /** Whether the parts since the first are still here, for another hoster. */
    readonly replayable: () => boolean;
    /** Whether silence is as it should be. */
    readonly paused: () => boolean;
    readonly watch: (watchdog: Watchdog) => void;
  };
}

/** A turn that has begun: its first record is here. */
export interface StartedTurn {
  readonly turn: number;
  readonly source: EventSource;
  readonly first: RecordEvent;
  readonly watchdog: Watchdog;
}

export interface CoreContext {
  readonly protocol: SessionProtocol;
  readonly placement: PlacementSource;
  readonly retry: RetryContext;
  readonly clock: Clock;
  readonly settings: SessionSettings;
  readonly emit: Emit;
}

/** Acks of a durable session whose hoster does not say how often it wants them. */
const DURABLE_ACK_EVERY = 16;

/** One session's dealings with hosters: opening, turn by turn, and letting go. One turn at a time. */
export class SessionCore {
  state: CoreState = { kind: 'idle' };
  readonly #context: CoreContext;
  readonly #guard = new PositionGuard();
  readonly #acker: Acker;
  #turn = 0;
  #opens = 0;
  #sessionId: string;
  /** What the turn that runs is read from. */
  #source: EventSource | undefined;
  /** The turn before, still being wound up. */
  #settling: Promise<void> = Promise.resolve();

  constructor(context: CoreContext) {
    this.#context = context;
    this.#sessionId = context.settings.id;
    this.#acker = new Acker((position) => this.#sendAck(position));
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  /** The number of the turn that runs, or of the next one. */
  get turn(): number {
    return this.#turn;
  }

  /** The position of the next record. */
  get position(): number {
    return this.#guard.next;
  }

  get epoch(): Epoch {
    return { counter: 1, owner: this.#context.settings.owner };
  }

  /** Starts the next turn where the session is, or anywhere if it is nowhere yet. */
  async startTurn(spec: TurnSpec, signal: AbortSignal): Promise<StartedTurn> {
    await abortable(this.#settling, signal);
    throwIfAborted(signal);
    const { state } = this;
    switch (state.kind) {
      case 'closed':
        throw new CabstandError('SESSION_ENDED', 'the session is closed');
      case 'failed':
        throw new CabstandError('SESSION_LOST', `the session was lost: ${state.error.message}`, {
          cause: state.error,
        });
      case 'idle':
        return this.#startAnywhere(spec, signal);
      case 'open':
        return this.#startHere(state.node, spec, signal);
    }
  }

  async #startAnywhere(spec: TurnSpec, signal: AbortSignal): Promise<StartedTurn> {
    const { settings, placement, retry, clock } = this.#context;
    const { placeMs } = settings.timeouts;
    const told: { error?: CabstandError } = {};
    using deadline = linkSignals([signal], { ms: placeMs, what: 'finding a hoster', clock });
    const opening = openSomewhere(
      {
        ...retry,
        final: () => spec.live?.replayable() === false,
        onRetry: (notice) => {
          told.error = notice.error;
          retry.onRetry(notice);
        },
      },
      placement,
      {
        model: settings.model,
        allow: settings.allow,
        block: settings.block,
        sessionId: settings.durable ? settings.id : '',
        ...(settings.digest === undefined ? {} : { digest: settings.digest }),
      },
      deadline.signal,
      (found) => this.#attemptNew(found, spec, deadline.signal),
    );
    const { value, placement: place } = await opening.catch((error: unknown) => {
      // Out of time: what was in the way says more than that.
      throw deadline.signal.aborted && !signal.aborted ? (told.error ?? error) : error;
    });
    if (this.state.kind === 'closed') {
      const error = new CabstandError('SESSION_ENDED', 'the session was closed');
      value.source.cancel(error);
      throw error;
    }
    this.state = { kind: 'open', node: place.node, channel: value.channel };
    return value;
  }

  async #attemptNew(
    place: Placement,
    spec: TurnSpec,
    signal: AbortSignal,
  ): Promise<StartedTurn & { readonly channel: SessionChannel | undefined }> {
    const { settings, protocol } = this.#context;
    // A name of its own for each attempt: the one before may still be open where it failed.
    const number = this.#opens++;
    this.#sessionId = settings.named || number === 0 ? settings.id : `${settings.id}.${number}`;
    const fields: OpenFields = {
      sessionId: this.#sessionId,
      epoch: this.epoch,
      durable: settings.durable,
      model: settings.model,
      priority: settings.priority,
      ticket: place.lease?.ticket ?? '',
    };
    if (spec.live === undefined) {
      const source = protocol.runTurn(place.node, this.#turnRequest(fields, spec));
      return { ...(await this.#awaitFirst(source, spec, signal, true)), channel: undefined };
    }
    const channel = protocol.openChannel(place.node, { kind: 'open', ...fields });
    this.#sendTurn(channel, spec);
    return { ...(await this.#awaitFirst(channel, spec, signal, true)), channel };
  }

  async #startHere(node: Target, spec: TurnSpec, signal: AbortSignal): Promise<StartedTurn> {
    try {
      return await openAgain(this.#context.retry, node, signal, () =>
        this.#attemptHere(node, spec, signal),
      );
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      // A refusal leaves the session as it was; anything else means that it is gone.
      if (!signal.aborted && !turnRefusal(error)) this.fail(error);
      throw error;
    }
  }

  #attemptHere(node: Target, spec: TurnSpec, signal: AbortSignal): Promise<StartedTurn> {
    const { settings, protocol } = this.#context;
    let channel = this.state.kind === 'open' ? this.state.channel : undefined;
    if (channel === undefined && spec.live === undefined) {
      const fields: OpenFields = {
        sessionId: this.#sessionId,
        epoch: this.epoch,
        durable: settings.durable,
        model: settings.model,
        priority: settings.priority,
        ticket: '',
      };
      const source = protocol.runTurn(node, this.#turnRequest(fields, spec));
      return this.#awaitFirst(source, spec, signal, false);
    }
    if (channel === undefined) {
      channel = protocol.openChannel(node, {
        kind: 'attach',
        sessionId: this.#sessionId,
        epoch: this.epoch,
        fromPosition: this.#guard.next,
      });
      this.state = { kind: 'open', node, channel };
    }
    this.#sendTurn(channel, spec);
    return this.#awaitFirst(channel, spec, signal, false);
  }

  #turnRequest(fields: OpenFields, spec: TurnSpec) {
    return {
      ...fields,
      turn: this.#turn,
      input: spec.input,
      fromPosition: this.#guard.next,
      keepSession: true,
    };
  }

  #sendTurn(channel: SessionChannel, spec: TurnSpec): void {
    const live = spec.live !== undefined;
    channel.send({ kind: 'turn', turn: this.#turn, input: spec.input, live });
    spec.live?.started(channel, this.#turn);
  }

  /** Reads up to the first record. On failure the source is cancelled, or wound up where it matters. */
  async #awaitFirst(
    source: EventSource,
    spec: TurnSpec,
    signal: AbortSignal,
    opening: boolean,
  ): Promise<StartedTurn> {
    const { clock, settings } = this.#context;
    const { firstMs } = settings.timeouts;
    const turn = this.#turn;
    this.#source = source;
    let opened = false;
    const watchdog = new Watchdog({
      clock,
      paused: () => opened && spec.live?.paused() === true,
    });
    spec.live?.watch(watchdog);
    try {
      watchdog.enter(firstMs, (ms) => source.cancel(stalled('no first record', ms)));
      for (;;) {
        const event = source.poll();
        if (event === undefined) {
          if (await abortable(source.wait(), signal)) continue;
          throw new CabstandError('NODE_BAD_REPLY', 'the hoster ended the stream without a record');
        }
        if (event.type === 'record') {
          if (event.body === 'end' && event.error !== undefined && opening && isGone(event))
            throw event.error;
          if (!this.#guard.accept(event, turn, this.epoch.counter)) continue;
          watchdog.leave();
          return { turn, source, first: event, watchdog };
        }
        watchdog.touch();
        opened = true;
        this.notice(event, spec);
      }
    } catch (thrown) {
      watchdog.stop();
      const error = CabstandError.from(thrown);
      // The hoster may have taken a later turn: it is wound up, so that the next one can follow.
      if (!opening && signal.aborted) this.abandon({ turn, source });
      else source.cancel(error);
      throw error;
    }
  }

  /** What is not a record. Throws where the session has ended. */
  notice(event: Exclude<ProtocolEvent, RecordEvent>, spec?: TurnSpec): void {
    const { emit, settings } = this.#context;
    switch (event.type) {
      case 'opened':
        this.#acker.every = event.ackEvery || (settings.durable ? DURABLE_ACK_EVERY : 0);
        emit('opened', event);
        return;
      case 'queued':
        emit('queued', { position: event.position });
        return;
      case 'progress':
        emit('progress', { done: event.done, total: event.total });
        return;
      case 'draining':
        emit('draining', { deadlineMs: event.deadlineMs });
        return;
      case 'accepted':
        if (event.turn === this.#turn) spec?.live?.accepted(event.nextPart);
        return;
      case 'checkpoint':
        return;
      case 'closed':
        throw closedError(event.reason, event.error);
    }
  }

  /** False for a record that was here before. Throws NODE_BAD_REPLY for one that cannot be. */
  accept(record: RecordEvent): boolean {
    return this.#guard.accept(record, this.#turn, this.epoch.counter);
  }

  delivered(position: number, endOfTurn: boolean): void {
    this.#acker.delivered(position, endOfTurn);
  }

  /** The end-of-turn record was accepted. Throws where the turn ended in an error. */
  endTurn(
    started: Pick<StartedTurn, 'turn' | 'source'>,
    end: Extract<RecordEvent, { body: 'end' }>,
    chunks: number,
  ): TurnResult {
    const { emit } = this.#context;
    this.#turn = started.turn + 1;
    this.#source = undefined;
    this.#acker.delivered(end.position, true);
    const onCall = this.state.kind === 'open' && this.state.channel === undefined;
    if (onCall) this.#settling = this.#drainCall(started.source);
    const result = { turn: end.turn, reason: end.reason, steps: end.steps, chunks };
    emit('turnEnd', result);
    const error = endError(end);
    if (error !== undefined && isGone(end)) this.fail(error);
    if (error !== undefined) throw error;
    return result;
  }

  /** The call ends by itself after its last record; one that does not is ended. */
  async #drainCall(source: EventSource): Promise<void> {
    const { clock, settings } = this.#context;
    const timer = clock.setTimer(
      () => source.cancel(new CabstandError('CANCELLED', 'the turn is over')),
      settings.timeouts.closeMs,
      { unref: true },
    );
    try {
      for (;;) if (source.poll() === undefined && !(await source.wait())) return;
    } catch {
      // The turn is complete: how its call ends changes nothing.
    } finally {
      timer.cancel();
    }
  }

  /** Nobody reads the turn any more: stops it at the hoster and reads on to its end. */
  abandon(started: Pick<StartedTurn, 'turn' | 'source'>): void {
    this.#settling = this.#windUp(started.turn, started.source);
  }

  async #windUp(turn: number, source: EventSource): Promise<void> {
    const { clock, settings } = this.#context;
    const timer = clock.setTimer(
      () =>
        source.cancel(
          new CabstandError('NODE_STALLED', 'the hoster did not end a cancelled turn in time'),
        ),
      settings.timeouts.closeMs,
      { unref: true },
    );
    try {
      void this.cancelTurn(turn).catch((error: unknown) =>
        source.cancel(CabstandError.from(error)),
      );
      for (;;) {
        const event = source.poll();
        if (event === undefined) {
          if (await source.wait()) continue;
          throw new CabstandError('NODE_BAD_REPLY', 'the stream ended before its turn');
        }
        if (event.type !== 'record') {
          this.notice(event);
          continue;
        }
        if (!this.accept(event)) continue;
        if (event.body !== 'end') continue;
        this.endTurn({ turn, source }, event, 0);
        return;
      }
    } catch (thrown) {
      // An error as the turn's end is its end as well.
      if (this.#turn === turn) this.fail(CabstandError.from(thrown));
    } finally {
      timer.cancel();
    }
  }

  /** Asks the hoster to stop the turn; its end of turn still comes. */
  async cancelTurn(turn: number): Promise<void> {
    const { state } = this;
    if (state.kind !== 'open') return;
    if (state.channel !== undefined) {
      state.channel.send({ kind: 'cancel', turn });
      return;
    }
    const { protocol, settings } = this.#context;
    await protocol.update(
      state.node,
      { sessionId: this.#sessionId, epoch: this.epoch },
      { kind: 'cancel', turn },
      { signal: undefined, deadlineMs: settings.timeouts.closeMs },
    );
  }

  async #sendAck(position: number): Promise<void> {
    const { state } = this;
    if (state.kind !== 'open') return;
    if (state.channel !== undefined) {
      state.channel.send({ kind: 'ack', position });
      return;
    }
    const { protocol, settings } = this.#context;
    await protocol.update(
      state.node,
      { sessionId: this.#sessionId, epoch: this.epoch },
      { kind: 'ack', position },
      { signal: undefined, deadlineMs: settings.timeouts.closeMs },
    );
  }

  /** The session cannot go on. Going on elsewhere will start here. */
  fail(error: CabstandError): void {
    const { placement, emit } = this.#context;
    const { state } = this;
    if (state.kind === 'failed' || state.kind === 'closed') return;
    this.state = { kind: 'failed', error };
    if (state.kind === 'open') {
      state.channel?.cancel(error);
      if (error.class === 'node')
        placement.settle(state.node, { kind: 'failed', error, leaseId: undefined });
    }
    emit('failed', error);
  }

  /** Ends the session at its hoster, if one has it. Never throws; waits for `closeMs` at most. */
  async close(): Promise<void> {
    const { state } = this;
    if (state.kind === 'closed') return;
    this.state = { kind: 'closed' };
    const { protocol, settings, emit, clock } = this.#context;
    const { closeMs } = settings.timeouts;
    const goodbye = new CabstandError('CANCELLED', 'the session was closed');
    if (state.kind === 'open') {
      const { channel } = state;
      if (channel !== undefined) {
        channel.send({ kind: 'close', reason: 'closed by the caller' });
        const timer = clock.setTimer(() => channel.cancel(goodbye), closeMs, { unref: true });
        await drain(channel);
        timer.cancel();
      } else {
        await protocol
          .closeSession(
            state.node,
            { sessionId: this.#sessionId, epoch: this.epoch },
            { signal: undefined, deadlineMs: closeMs },
          )
          // It is closed here; at the hoster it ends at the latest when it has been idle too long.
          .catch(() => undefined);
        this.#source?.cancel(goodbye);
      }
    }
    await this.#settling;
    emit('closed');
  }
}

async function drain(source: EventSource): Promise<void> {
  try {
    for (;;) if (source.poll() === undefined && !(await source.wait())) return;
  } catch {
    // The session is over either way.
  }
}

export function stalled(what: string, ms: number): CabstandError {
  return new CabstandError('NODE_STALLED', `${what} within ${Math.round(ms)} ms`, {
    metadata: { waited_ms: String(Math.round(ms)) },
  });
}
