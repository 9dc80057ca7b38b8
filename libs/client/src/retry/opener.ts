import { CabstandError, backoffDelay, sleep, throwIfAborted } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { Target } from '../protocol/types';
import { unreserved } from '../remote/types';
import type { Placement, PlacementRequest, PlacementSource } from '../remote/types';
import type { RetryBudget } from './budget';
import { decideRetry } from './decide';
import type { FailureFacts } from './decide';
import type { RetrySettings } from './options';

/** A retry that is about to happen. */
export interface RetryNotice {
  readonly error: CabstandError;
  /** Attempts made so far. */
  readonly attempt: number;
  readonly waitMs: number;
  /** The hoster that failed or refused; undefined where none was found. */
  readonly node: Target | undefined;
}

export interface RetryContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly settings: RetrySettings;
  readonly budget: RetryBudget;
  readonly onRetry: (notice: RetryNotice) => void;
  /** Whether the turn cannot be sent a second time. */
  readonly final?: () => boolean;
  /** The session can go on elsewhere: what only that helps against is thrown at once. */
  readonly resumable?: boolean;
}

/** Decides, draws on the budget, pauses. Throws what the caller is told where the error is final. */
class Retrier {
  #attempts = 0;

  constructor(
    private readonly context: RetryContext,
    private readonly signal: AbortSignal,
  ) {}

  async after(
    error: CabstandError,
    phase: FailureFacts['phase'],
    node: Target | undefined,
    elsewhereAtOnce: boolean,
    told = error,
  ): Promise<void> {
    const { settings, budget, clock, random, onRetry } = this.context;
    throwIfAborted(this.signal);
    this.#attempts++;
    const decision = decideRetry(error, {
      phase,
      attempts: this.#attempts,
      maxAttempts: settings.attempts,
      resumable: this.context.resumable ?? false,
    });
    if (decision.action === 'throw' || decision.action === 'resume') throw told;
    if (!budget.take()) throw told;
    const backoff = backoffDelay(this.#attempts - 1, { ...settings, random });
    // An untried hoster is at hand: its neighbour's trouble is no reason to wait.
    const waitMs = elsewhereAtOnce ? 0 : Math.max(backoff, told.retryAfterMs ?? 0);
    onRetry({ error: told, attempt: this.#attempts, waitMs, node });
    if (waitMs > 0) await sleep(waitMs, this.signal, clock);
  }
}

/**
 * Finds a hoster and runs `attempt` on it, on another one where that fails in a way that another may
 * not, until one attempt succeeds. Throws the last hoster's error, or why none was found.
 */
export async function openSomewhere<T>(
  context: RetryContext,
  source: PlacementSource,
  request: PlacementRequest,
  signal: AbortSignal,
  attempt: (placement: Placement, number: number) => Promise<T>,
): Promise<{ readonly value: T; readonly placement: Placement }> {
  const retrier = new Retrier(context, signal);
  let candidates: Placement[] = [];
  let fromHoster: CabstandError | undefined;
  for (let number = 0; ;) {
    throwIfAborted(signal);
    let placement = candidates.shift();
    if (placement === undefined) {
      try {
        placement = await source.acquire({ ...request, signal });
        candidates = placement.alternatives.map(unreserved);
      } catch (thrown) {
        const error = CabstandError.from(thrown);
        // What a hoster said explains more than that there is no other one.
        const told = error.reason === 'NO_NODE' ? withWait(fromHoster, error) : error;
        await retrier.after(unplaced(told, error), 'placing', undefined, false, told);
        continue;
      }
    }
    const { node, lease } = placement;
    if (!source.enter(node)) {
      if (candidates.length > 0) continue;
      const error = new CabstandError('NODE_UNREACHABLE', `${node.address} failed too often`);
      await retrier.after(unplaced(fromHoster, error), 'placing', undefined, false, fromHoster);
      continue;
    }
    try {
      const value = await attempt(placement, number++);
      source.settle(node, { kind: 'served' });
      context.budget.succeeded();
      return { value, placement };
    } catch (thrown) {
      const error = CabstandError.from(thrown);
      if (signal.aborted) source.settle(node, { kind: 'undecided' });
      else if (error.class === 'node')
        source.settle(node, { kind: 'failed', error, leaseId: lease?.id });
      else if (
        error.class === 'overload' ||
        error.class === 'session' ||
        error.reason === 'MODEL_UNKNOWN'
      )
        source.settle(node, { kind: 'refused', error });
      else source.settle(node, { kind: 'undecided' });
      throwIfAborted(signal);
      fromHoster = error;
      const phase = context.final?.() === true ? 'streaming' : 'opening';
      await retrier.after(error, phase, node, candidates.length > 0);
    }
  }
}

/**
 * Why there is no hoster. One that ended the session before its first record, to go, leaves nothing to go on from:
 * that is no reason to give up.
 */
function unplaced(told: CabstandError | undefined, error: CabstandError): CabstandError {
  return told === undefined || told.class === 'session' ? error : told;
}

function withWait(
  told: CabstandError | undefined,
  router: CabstandError,
): CabstandError | undefined {
  if (told === undefined) return undefined;
  return new CabstandError(told.reason, told.message, {
    metadata: told.metadata,
    cause: told,
    ...(router.retryAfterMs === undefined && told.retryAfterMs === undefined
      ? {}
      : { retryAfterMs: Math.min(router.retryAfterMs ?? Infinity, told.retryAfterMs ?? Infinity) }),
  });
}

/** Runs a later turn on the hoster that has the session, waiting for room where it has none. */
export async function openAgain<T>(
  context: RetryContext,
  node: Target,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  const retrier = new Retrier(context, signal);
  for (;;) {
    try {
      const value = await attempt();
      context.budget.succeeded();
      return value;
    } catch (thrown) {
      await retrier.after(CabstandError.from(thrown), 'again', node, false);
    }
  }
}
