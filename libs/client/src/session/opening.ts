import { CabstandError, linkSignals } from '@cabstand/core';
import type { OpenFields, SessionChannel, Target, TurnRequest } from '../protocol/types';
import type { Placement } from '../remote/types';
import { decideRetry } from '../retry/decide';
import { openAgain, openSomewhere } from '../retry/opener';
import type { ActiveTurn } from './active-turn';
import { sendTurn } from './placing';
import { refusedOpening } from './refused-opening';
import type { CoreContext, Standing } from './standing';

/** How a turn that opens its session, or another one on it, gets its stream. */
export class Opening {
  readonly #context: CoreContext;
  readonly #standing: Standing;
  #opens = 0;

  constructor(context: CoreContext, standing: Standing) {
    this.#context = context;
    this.#standing = standing;
  }

  /** Opens the session anywhere. Resolves once the first record is here. */
  async anywhere(
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
      },
      deadline.signal,
      (found) => {
        const turn = makeTurn();
        attempted = turn;
        return this.#attempt(found, turn, deadline.signal);
      },
    );
    const { value, placement: place } = await opening.catch((error: unknown) => {
      // Out of time: what was in the way says more than that.
      const cause = deadline.signal.aborted && !signal.aborted ? (told.error ?? error) : error;
      throw refusedOpening(cause, settings);
    });
    return { ...value, node: place.node };
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
    if (turn.live === undefined)
      turn.use(protocol.runTurn(place.node, this.#request(fields, turn)));
    else {
      channel = protocol.openChannel(place.node, { kind: 'open', ...fields });
      turn.use(channel);
      sendTurn(channel, turn);
    }
    await beginOrCancel(turn, signal);
    return { turn, channel };
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
    if (channel === undefined && turn.live === undefined) {
      turn.use(protocol.runTurn(node, this.#request(this.#fields(''), turn)));
      return;
    }
    if (channel === undefined) {
      const { sessionId, epoch, guard } = standing;
      channel = protocol.openChannel(node, {
        kind: 'attach',
        sessionId,
        epoch,
        fromPosition: guard.next,
      });
      standing.opened(node, channel);
    }
    turn.use(channel);
    sendTurn(channel, turn);
  }

  #fields(ticket: string): OpenFields {
    const { settings } = this.#context;
    const { sessionId, epoch } = this.#standing;
    const { durable, model, priority } = settings;
    return { sessionId, epoch, durable, model, priority, ticket };
  }

  #request(fields: OpenFields, { turn, input }: ActiveTurn): TurnRequest {
    if (input === undefined) throw new CabstandError('INTERNAL', 'a turn was sent without input');
    return { ...fields, turn, input, fromPosition: this.#standing.guard.next, keepSession: true };
  }
}

async function beginOrCancel(turn: ActiveTurn, signal: AbortSignal): Promise<void> {
  try {
    await turn.begin(signal);
  } catch (thrown) {
    turn.stop();
    turn.break(CabstandError.from(thrown));
    throw thrown;
  }
}
