import { CabstandError } from '@cabstand/core';
import type { SessionChannel, Target } from '../protocol/types';
import type { ActiveTurn } from './active-turn';
import type { CoreContext, Standing } from './standing';

/** From when a stream broke until a record shows that it goes on. */
export interface Break {
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
  /** When it was, by the monotonic clock; undefined while it has not been. */
  takenUpAt: number | undefined;
}

/** One search for a stream on which a turn goes on. */
export interface GoingOn {
  readonly context: CoreContext;
  readonly standing: Standing;
  readonly turn: ActiveTurn;
  readonly broken: Break;
  /** Aborted when the session closes, and when `recoverMs` is over. */
  readonly signal: AbortSignal;
  /** What stood in the way last. */
  last: CabstandError;
  /** The weights or the code that the session began with are gone: whatever else stands in the way, this is why. */
  exchanged: CabstandError | undefined;
}

/** Throws TURN_POISONED for the second engine that died at one position: a third would, too. */
export function countEngineDeath(broken: Break, cause: CabstandError, position: number): void {
  if (++broken.engineDeaths >= 2)
    throw new CabstandError(
      'TURN_POISONED',
      `two engines died at position ${position}: ${cause.message}`,
      { cause, metadata: { position: String(position) } },
    );
}

/** A hoster that was to go on did not come to a record. */
export function tellRetry(
  { retry }: CoreContext,
  { attempts }: Break,
  error: CabstandError,
  node: Target,
): void {
  retry.onRetry({ error, attempt: attempts, waitMs: 0, node });
}

/** `node` took up the session. From here on whoever has a higher epoch came later. */
export function takenUp(
  { context, standing, turn, broken }: GoingOn,
  node: Target,
  channel: SessionChannel,
): void {
  broken.to = node;
  broken.takenUpAt = context.clock.monotonic();
  standing.opened(node, channel);
  standing.claims = false;
  if (turn.cancelled) channel.send({ kind: 'cancel', turn: turn.turn });
}
