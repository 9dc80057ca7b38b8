import { CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { TraceContext } from '@cabstand/rpc';
import type { OpenedEvent, Survival } from '../protocol/events';
import type {
  Epoch,
  EventSource,
  SessionChannel,
  SessionProtocol,
  Target,
} from '../protocol/types';
import type { PlacementSource } from '../remote/types';
import type { RetryContext } from '../retry/opener';
import type { KeptCommands } from './commands';
import { Continuation } from './continuation';
import type { Emit } from './events';
import type { HandleContent, RunningTurn } from './handle';
import { PositionGuard } from './guard';
import type { SessionSettings } from './options';

/** Where a session stands. */
export type CoreState =
  /** No hoster has it. */
  | { readonly kind: 'idle' }
  /** A hoster has it; `channel` once the session has a stream of its own. */
  | { readonly kind: 'open'; readonly node: Target; readonly channel: SessionChannel | undefined }
  /** Its stream broke; `node` had it last. */
  | { readonly kind: 'recovering'; readonly node: Target }
  /** Its module's last turn is over, and the session with it. */
  | { readonly kind: 'ended' }
  /** It is lost. */
  | { readonly kind: 'failed'; readonly error: CabstandError }
  | { readonly kind: 'closed' };

export interface CoreContext {
  readonly protocol: SessionProtocol;
  readonly placement: PlacementSource;
  readonly retry: RetryContext;
  readonly clock: Clock;
  readonly settings: SessionSettings;
  readonly emit: Emit;
}

/** What a session knows of itself; what opens, runs and recovers it shares this. */
export class Standing {
  #state: CoreState = { kind: 'idle' };
  /** Its name at its hoster; settled once one has opened it. */
  sessionId: string;
  /** The number of the turn that runs, or of the next one. */
  turn = 0;
  /** Who advances it now. */
  epochCounter = 1;
  /** That of the stream by which a hoster took it up last; 0 before any did. */
  #servedEpoch = 0;
  /** The highest that any hoster was told. */
  #highestEpoch = 1;
  /** Weights of the hoster that opened it: another one must have the same. Empty if unknown. */
  digest = '';
  /** The hoster that had it last; undefined before any had it. */
  home: Target | undefined;
  /** The turn that was under way in the process that had the session before this one. */
  pending: RunningTurn | undefined;
  /** Another process had it, and may have gone on since: whatever its epoch, this one takes over. */
  claims = false;
  readonly guard: PositionGuard;
  readonly continuation: Continuation;
  /** Commands of the process that had it before. */
  readonly commands: KeptCommands | undefined;
  /** It is taken over by its name; true until a hoster has said where it is. */
  joins = false;
  /** What the hoster of its newest stream said of itself. */
  lastOpened: OpenedEvent | undefined;
  /** What the turn that runs is part of. */
  trace: TraceContext | undefined;
  /** Records below it are not wanted, though they come. */
  from = 0;
  /** What a module's session outlives; undefined for other kinds of models. */
  survival: Survival | undefined;
  /** Aborted when the session closes. */
  readonly closing = new AbortController();
  readonly #owner: Uint8Array;

  /**
   * @param handle of a session that another process had
   * @param joinsFrom where its place in the session is not known: the first position that is wanted
   */
  constructor(settings: SessionSettings, handle?: HandleContent, joinsFrom?: number) {
    this.joins = joinsFrom !== undefined;
    this.from = joinsFrom ?? 0;
    this.sessionId = settings.id;
    this.#owner = settings.owner;
    this.guard = new PositionGuard(handle?.position);
    this.continuation = new Continuation(
      settings.maxReplayBytes,
      handle?.checkpoint,
      handle?.past ?? [],
    );
    this.commands = handle && (handle.module?.commands ?? { next: 0, waiting: [] });
    if (handle === undefined) return;
    this.turn = handle.turn;
    this.digest = handle.digest;
    this.home = handle.node;
    this.#servedEpoch = handle.servedEpoch ?? 0;
    this.pending = handle.running;
    this.claims = true;
    this.#state = { kind: 'recovering', node: handle.node };
    this.claimAbove(handle.epoch);
    const { module, position } = handle;
    if (module === undefined) return;
    this.survival = module.survival;
    this.continuation.takeOver(module.given, module.chain, position);
  }

  get state(): CoreState {
    return this.#state;
  }

  /** Throws SESSION_ENDED or SESSION_LOST where no other turn can follow. */
  checkNextTurn(): void {
    const state = this.#state;
    switch (state.kind) {
      case 'closed':
        throw new CabstandError('SESSION_ENDED', 'the session is closed');
      case 'ended':
        throw new CabstandError(
          'SESSION_ENDED',
          "a module's session ends with its only turn: open another session for the next one",
        );
      case 'failed':
        throw new CabstandError('SESSION_LOST', `the session was lost: ${state.error.message}`, {
          cause: state.error,
        });
      case 'idle':
      case 'open':
      case 'recovering':
        return;
    }
  }

  get epoch(): Epoch {
    return { counter: this.epochCounter, owner: this.#owner };
  }

  /**
   * Counter of the epoch in which a hoster took it up last. One that has it under a lower epoch may have gone
   * another way since: it was told to go on, and its answer did not come.
   */
  get servedEpoch(): number {
    return this.#servedEpoch;
  }

  /** The highest epoch that any hoster was told. */
  get highestEpoch(): number {
    return this.#highestEpoch;
  }

  /** An epoch for a hoster that is to take over. It counts once `epochCounter` is set to it. */
  nextEpoch(): Epoch {
    return { counter: ++this.#highestEpoch, owner: this.#owner };
  }

  /** The hoster that takes over was told the newest epoch. */
  raiseEpoch(): void {
    this.epochCounter = this.#highestEpoch;
  }

  /** Whoever has it under that epoch is to lose it. */
  claimAbove(epoch: number): void {
    this.#highestEpoch = Math.max(this.#highestEpoch, epoch) + 1;
    this.epochCounter = this.#highestEpoch;
  }

  /**
   * Takes the session over where a hoster fenced this process off for the one that had it before.
   * False for any other error, and where this process was not asked to take over.
   */
  claimsAfter(error: CabstandError): boolean {
    const current = Number(error.metadata['current_epoch']);
    if (error.reason !== 'EPOCH_FENCED' || !this.claims) return false;
    if (!(current >= this.#highestEpoch)) return false;
    this.claimAbove(current);
    return true;
  }

  /** A hoster says where the session is that this process takes over. */
  joined({ position, survival }: OpenedEvent): void {
    if (!this.joins) return;
    this.joins = false;
    this.guard.begin(position);
    // What it was given before, nobody told this process.
    if (survival === 'replay' && position > 0) this.continuation.takeOver(undefined, 0, position);
  }

  /**
   * A hoster says with which weights it goes on. Throws SESSION_LOST where records of other ones have
   * arrived: the two must not be mixed.
   */
  openedOn(digest: string): void {
    if (this.digest !== '' && digest !== this.digest && this.guard.next > 0)
      throw new CabstandError(
        'SESSION_LOST',
        'the hoster has other weights of the model than the session began with',
        { metadata: { problem: 'other_weights', digest, expected: this.digest } },
      );
    this.digest = digest;
  }

  /** A hoster has it. */
  opened(node: Target, channel: SessionChannel | undefined): void {
    this.home = node;
    this.#servedEpoch = this.epochCounter;
    this.#state = { kind: 'open', node, channel };
  }

  /** The session's own stream is of no use any more, if it is `source`; its hoster still has it. */
  dropChannel(source: EventSource | undefined, error: CabstandError): void {
    const state = this.#state;
    if (state.kind !== 'open' || state.channel === undefined || source !== state.channel) return;
    state.channel.cancel(error);
    this.#state = { kind: 'open', node: state.node, channel: undefined };
  }

  /** Takes the session's own stream away; its hoster still has the session. Undefined where there is none. */
  takeChannel(): SessionChannel | undefined {
    const state = this.#state;
    if (state.kind !== 'open' || state.channel === undefined) return undefined;
    this.#state = { kind: 'open', node: state.node, channel: undefined };
    return state.channel;
  }

  /** The stream of the hoster that has it broke, or is left. Nothing where no hoster has it. */
  broke(): void {
    const state = this.#state;
    if (state.kind === 'open') this.#state = { kind: 'recovering', node: state.node };
  }

  ended(): void {
    this.#state = { kind: 'ended' };
  }

  lost(error: CabstandError): void {
    this.#state = { kind: 'failed', error };
  }

  closed(): void {
    this.#state = { kind: 'closed' };
  }
}
