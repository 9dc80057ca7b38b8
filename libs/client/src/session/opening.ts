import { CabstandError, linkSignals } from '@cabstand/core';
import type { OpenFields, SessionChannel, Target, TurnRequest } from '../protocol/types';
import type { Placement } from '../remote/types';
import { decideRetry } from '../retry/decide';
import { openAgain, openSomewhere } from '../retry/opener';
import type { ActiveTurn } from './active-turn';
import { sessionClosed } from './endings';
import { sendTurn } from './placing';
import { refusedOpening } from './refused-opening';
import type { CoreContext, Standing } from './standing';

/** How a turn that opens its session, or another one on it, gets its stream. */
export class Opening {
  readonly #context: CoreContext;
  readonly #standing: Standing;
  readonly #onReused: () => void;
  #opens = 0;
  #searching: Promise<unknown> = Promise.resolve();
  /** Hosters where an attempt that was given up has opened the session. */
  readonly #left = new Map<string, Target>();
  #closing: Promise<unknown> = Promise.resolve();

  /** @param onReused a turn was sent by a stream that is open already */
  constructor(context: CoreContext, standing: Standing, onReused: () => void) {
    this.#context = context;
    this.#standing = standing;
    this.#onReused = onReused;
  }

  /**
   * The session is closed: resolves once nothing is being opened, and what attempts have left at hosters is closed.
   *
   * @param keep another process goes on with it: a name that has ended at a hoster could not be taken up there
   */
  async close(keep: boolean): Promise<void> {
    await this.#searching;
    const left = keep ? [] : [...this.#left.values()];
    await Promise.all([this.#closing, ...left.map((node) => this.#closeAt(node))]);
  }

  /** Opens the session anywhere. Resolves once the first record is here. Throws CANCELLED where it was closed meanwhile. */
  anywhere(
    makeTurn: () => ActiveTurn,
    signal: AbortSignal,
  ): Promise<{ turn: ActiveTurn; node: Target; channel: SessionChannel | undefined }> {
    const search = this.#search(makeTurn, signal);
    this.#searching = search.catch(() => undefined);
    return search;
  }

  async #search(
    makeTurn: () => ActiveTurn,
    signal: AbortSignal,
  ): Promise<{ turn: ActiveTurn; node: Target; channel: SessionChannel | undefined }> {
    const { settings, placement, retry, clock } = this.#context;
    const { placeMs } = settings.timeouts;
    const told: { error?: CabstandError } = {};
    let attempted: ActiveTurn | undefined;
    using deadline = linkSignals([signal], { ms: placeMs, what: 'finding a hoster', clock });
    const opening = openSomewhere(
      {
        ...retry,
        final: () => attempted?.live?.replayable() === false,
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
        ...(settings.digest === '' ? {} : { digest: settings.digest }),
        trace: this.#standing.trace,
      },
      deadline.signal,
      (found) => {
        const turn = makeTurn();
        attempted = turn;
        // A place is found that computes: how long that takes is the model's.
        turn.onProgress = () => deadline.restart();
        return this.#attempt(found, turn, deadline.signal);
      },
    );
    const { value, placement: place } = await opening.catch((error: unknown) => {
      // Out of time: what was in the way says more than that.
      const cause = deadline.signal.aborted && !signal.aborted ? (told.error ?? error) : error;
      throw refusedOpening(cause, settings);
    });
    const { node } = place;
    if (this.#standing.state.kind === 'closed') {
      value.turn.break(sessionClosed());
      this.#giveUp(node);
      throw sessionClosed();
    }
    this.#left.delete(node.address);
    return { ...value, node };
  }

  async #attempt(
    place: Placement,
    turn: ActiveTurn,
    signal: AbortSignal,
  ): Promise<{ turn: ActiveTurn; channel: SessionChannel | undefined }> {
    const { settings, protocol } = this.#context;
    const standing = this.#standing;
    // A name of its own for each attempt: the one before may still be open where it failed.
    const number = this.#opens++;
    standing.sessionId = settings.named || number === 0 ? settings.id : `${settings.id}.${number}`;
    standing.digest = '';
    standing.continuation.openedAnew();
    const fields = this.#fields(place.lease?.ticket ?? '');
    let channel: SessionChannel | undefined;
    if (this.#alone(turn))
      turn.use(protocol.runTurn(place.node, this.#request(fields, turn)), place.node);
    else {
      channel = protocol.openChannel(place.node, { kind: 'open', ...fields });
      turn.use(channel, place.node);
      sendTurn(channel, turn);
    }
    try {
      await turn.begin(signal);
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      turn.stop();
      turn.break(error);
      // What a hoster refused is the turn: it may have opened the session before.
      const refused = standing.digest !== '' && error.class !== 'node';
      if (signal.aborted || refused) this.#giveUp(place.node);
      throw thrown;
    }
    return { turn, channel };
  }

  /**
   * An attempt is given up of which the hoster may have opened the session: a durable one would wait there for a
   * consumer that never comes. Under a name of the application's it may be asked for again: it is closed at the end.
   */
  #giveUp(node: Target): void {
    const { settings } = this.#context;
    if (!settings.durable) return;
    if (!settings.named) this.#closing = Promise.all([this.#closing, this.#closeAt(node)]);
    // Until a hoster says that it has opened, the name may be that of another's session.
    else if (this.#standing.digest !== '') this.#left.set(node.address, node);
  }

  #closeAt(node: Target): Promise<unknown> {
    const { settings, protocol } = this.#context;
    const { sessionId, epoch } = this.#standing;
    const brief = { signal: undefined, deadlineMs: settings.timeouts.closeMs };
    // The hoster may not have opened it yet, and will not now.
    return protocol.closeSession(node, { sessionId, epoch }, brief).catch(() => undefined);
  }

  /**
   * Sends a later turn to the hoster that has the session. Resolves once its first record is here: from
   * another hoster where that one is gone and the session is durable.
   */
  async here(turn: ActiveTurn, signal: AbortSignal): Promise<void> {
    const { retry, settings } = this.#context;
    const standing = this.#standing;
    const { state } = standing;
    if (state.kind === 'open')
      try {
        await openAgain({ ...retry, resumable: settings.durable }, state.node, signal, () => {
          this.#send(state.node, turn);
          return turn.begin(signal).catch((thrown: unknown) => {
            if (!signal.aborted) standing.dropChannel(turn.source, CabstandError.from(thrown));
            throw thrown;
          });
        });
        return;
      } catch (thrown) {
        const error = CabstandError.from(thrown);
        if (signal.aborted || !this.#resumes(error)) throw error;
        turn.break(error);
      }
    else
      turn.break(
        new CabstandError('NODE_UNREACHABLE', 'this process has no stream of the session'),
      );
    turn.recovers = true;
    await turn.begin(signal);
  }

  #resumes(error: CabstandError): boolean {
    const facts = { attempts: 0, maxAttempts: 1, resumable: this.#context.settings.durable };
    return decideRetry(error, { phase: 'again', ...facts }).action === 'resume';
  }

  #send(node: Target, turn: ActiveTurn): void {
    const { protocol } = this.#context;
    const standing = this.#standing;
    let channel = standing.state.kind === 'open' ? standing.state.channel : undefined;
    if (channel === undefined && this.#alone(turn)) {
      turn.use(protocol.runTurn(node, this.#request(this.#fields(''), turn)), node);
      return;
    }
    const reused = channel !== undefined;
    if (channel === undefined) {
      const { sessionId, epoch, guard } = standing;
      channel = protocol.openChannel(node, {
        kind: 'attach',
        sessionId,
        epoch,
        fromPosition: guard.next,
        servedEpoch: standing.servedEpoch,
        trace: turn.trace,
      });
      standing.opened(node, channel);
    }
    turn.use(channel, node);
    sendTurn(channel, turn);
    if (reused) this.#onReused();
  }

  /**
   * Whether a turn is a call of its own. In durable sessions all goes by one stream: acknowledgements, the next
   * turns and the end are messages there, and calls with signatures of their own otherwise.
   */
  #alone({ live }: ActiveTurn): boolean {
    return live === undefined && !this.#context.settings.durable;
  }

  #fields(ticket: string): OpenFields {
    const { settings } = this.#context;
    const { sessionId, epoch, trace } = this.#standing;
    const { durable, model, priority } = settings;
    return { sessionId, epoch, durable, model, priority, ticket, trace };
  }

  #request(fields: OpenFields, { turn, input }: ActiveTurn): TurnRequest {
    if (input === undefined) throw new CabstandError('INTERNAL', 'a turn was sent without input');
    return { ...fields, turn, input, fromPosition: this.#standing.guard.next, keepSession: true };
  }
}
