/** What a session that goes on here is rebuilt from. */
import type { SealBinding, Sealer } from '@cabstand/auth';
import { CabstandError, invalid } from '@cabstand/core';
import { FRESH, decodeState } from './checkpoint-body';
import type { CheckpointBody } from './checkpoint-body';
import type { LivePart } from '../input/live-input';
import type { Given } from '../module/given';
import type { TurnContent } from '../types';

/** A turn to compute again. */
export interface PlannedTurn {
  readonly turn: number;
  readonly content: TurnContent;
  readonly parts: readonly LivePart[];
}

/** What a consumer brings to a hoster that does not have its session. */
export interface ResumeSpec {
  readonly checkpoint: { readonly position: number; readonly sealed: Uint8Array } | undefined;
  /** The last position that the consumer has; -1 for none. */
  readonly delivered: number;
  /** The turn that is running, or the next one. */
  readonly turn: number;
  /** What was given since the checkpoint. The input of `turn` may also follow later. */
  readonly turns: readonly PlannedTurn[];
  /** Of a module: what its author was given since the checkpoint, in order. */
  readonly given?: readonly Given[];
  /** Of a module: `chain` of the last record that the consumer has. Default 0. */
  readonly chain?: number;
  /** Counter of the epoch in which the consumer was last served; 0 where it does not tell. Default 0. */
  readonly servedEpoch?: number;
}

export interface RebuildPlan {
  readonly state: CheckpointBody;
  readonly turns: readonly PlannedTurn[];
  /** The turn that is running, or the next one. */
  readonly turn: number;
  /** The first position that the consumer lacks: records before it are computed and dropped. */
  readonly next: number;
  /** See `ResumeSpec`. */
  readonly given: readonly Given[];
  readonly chain: number;
}

/**
 * Orders what there is. `state` is what the checkpoint holds; undefined without one.
 * Throws CHECKPOINT_INVALID where the checkpoint does not fit the rest, INVALID_ARGUMENT where
 * something is missing without one.
 */
export function planRebuild(spec: ResumeSpec, state: CheckpointBody = FRESH): RebuildPlan {
  const { delivered, turn } = spec;
  if (!Number.isSafeInteger(delivered) || delivered < -1)
    throw invalid('POSITION_INVALID', 'resume.delivered_position', delivered, 'at least -1');
  if (!Number.isSafeInteger(turn) || turn < 0)
    throw invalid('TURN_OUT_OF_ORDER', 'resume.turn', turn, 'a whole number of at least 0');
  if (state.position > delivered + 1)
    throw misfit('ahead', `it is of position ${state.position}, beyond what was delivered`);
  if (turn < state.turn) throw misfit('other_turn', `it is of turn ${state.turn}, after ${turn}`);
  const first = state.ended ? state.turn + 1 : state.turn;
  const turns = spec.turns.filter((one) => one.turn >= first);
  turns.forEach((one, index) => {
    if (one.turn !== first + index)
      throw invalid('INVALID_ARGUMENT', 'resume.replay', `turn ${one.turn}`, 'turns in order');
  });
  if (first + turns.length < turn || (!state.ended && turns.length === 0 && turn > state.turn)) {
    const missing = first + turns.length;
    throw spec.checkpoint === undefined
      ? invalid('INVALID_ARGUMENT', 'resume.replay', 'nothing', `the input of turn ${missing}`)
      : misfit('outdated', `the input of turn ${missing}, which follows it, is missing`);
  }
  if (first + turns.length > turn + 1)
    throw invalid('INVALID_ARGUMENT', 'resume.replay', 'later turns', `none after turn ${turn}`);
  const given = (spec.given ?? []).filter(({ position }) => position >= state.position);
  checkGiven(given, delivered);
  return { state, turns, turn, next: delivered + 1, given, chain: spec.chain ?? 0 };
}

/**
 * The state in a sealed checkpoint. Throws CHECKPOINT_INVALID where it is not good for this session, and
 * SESSION_LOST where only the weights differ: the model was exchanged, which is nobody's mistake, and
 * another hoster may still have the weights.
 */
export function openCheckpoint(
  sealer: Sealer,
  binding: SealBinding,
  sealed: Uint8Array,
): CheckpointBody {
  try {
    return decodeState(sealer.open(sealed, binding), binding.position);
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    const { problem } = error.metadata;
    if (problem !== 'other_weights') throw error;
    const { model, digest } = binding;
    throw new CabstandError(
      'SESSION_LOST',
      `${model} has other weights here than the session began with: its state is of no use to them`,
      { metadata: { problem, model, digest }, cause: error },
    );
  }
}

/** Throws INVALID_ARGUMENT for records out of order, or beyond what was delivered. */
function checkGiven(given: readonly Given[], delivered: number): void {
  let before = -1;
  for (const { position } of given) {
    if (position <= before || position > delivered)
      throw invalid(
        'INVALID_ARGUMENT',
        'resume.replay.record.position',
        position,
        `records in order, up to ${delivered}`,
      );
    before = position;
  }
}

function misfit(problem: string, why: string): CabstandError {
  return new CabstandError('CHECKPOINT_INVALID', `the checkpoint is not good here: ${why}`, {
    metadata: { problem },
  });
}
