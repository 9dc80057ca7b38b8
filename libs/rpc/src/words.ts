/** Words and refusals of the contract that all who serve it share. */
import { CabstandError } from '@cabstand/core';
import type * as v1 from './v1';

const END_REASONS = {
  completed: 'END_REASON_COMPLETED',
  stopped: 'END_REASON_STOPPED',
  cancelled: 'END_REASON_CANCELLED',
  timed_out: 'END_REASON_TIMED_OUT',
  evicted: 'END_REASON_EVICTED',
  migrated: 'END_REASON_MIGRATED',
  lost: 'END_REASON_LOST',
  error: 'END_REASON_ERROR',
} as const satisfies Record<string, v1.EndReason>;

const SURVIVALS = {
  none: 'SURVIVAL_NONE',
  replay: 'SURVIVAL_REPLAY',
  commit: 'SURVIVAL_COMMIT',
} as const satisfies Record<string, v1.Survival>;

type WireEndReason = (typeof END_REASONS)[keyof typeof END_REASONS];

export function wireEndReason(reason: keyof typeof END_REASONS): WireEndReason {
  return END_REASONS[reason];
}

/** What became of an answer of a language model, in tokens. */
interface GenerationWords {
  readonly finish?: 'stop' | 'length';
  readonly prompt: number;
  readonly cached: number;
  readonly answer: number;
}

export function wireGeneration({ finish, prompt, cached, answer }: GenerationWords): v1.Generation {
  const counts = { prompt_tokens: prompt, cached_tokens: cached, answer_tokens: answer };
  return {
    ...counts,
    finish: finish === undefined ? 'FINISH_REASON_UNSPECIFIED' : FINISHES[finish],
  };
}

export function generationFromWire(wire: v1.Generation__Output): GenerationWords {
  const { prompt_tokens: prompt, cached_tokens: cached, answer_tokens: answer } = wire;
  const counts = { prompt, cached, answer };
  if (wire.finish === FINISHES.stop) return { finish: 'stop', ...counts };
  return wire.finish === FINISHES.length ? { finish: 'length', ...counts } : counts;
}

const FINISHES = { stop: 'FINISH_REASON_STOP', length: 'FINISH_REASON_LENGTH' } as const;

/** `undefined`: of a model that is no module. */
export function wireSurvival(survival: keyof typeof SURVIVALS | undefined): v1.Survival {
  return survival === undefined ? 'SURVIVAL_UNSPECIFIED' : SURVIVALS[survival];
}

export function wireError(error: CabstandError | undefined): v1.ErrorDetail | null {
  if (error === undefined) return null;
  return { reason: error.reason, message: error.message, metadata: { ...error.metadata } };
}

/** Why a message of a session's stream is none that may come now. `kind`: undefined for an empty one. */
export function unexpectedMessage(kind: string | undefined): CabstandError {
  const why =
    kind === undefined ? 'the message is empty' : `${kind} must be the first message of its stream`;
  return new CabstandError('INVALID_ARGUMENT', why, { metadata: { field: 'message' } });
}
