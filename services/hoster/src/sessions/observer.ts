import type { CabstandError, Reason } from '@cabstand/core';
import type { SessionFacts } from './session-facts';
import type { SessionEnd } from './types';

/** Watches the core, for metrics, logs and the router's claims. Must not throw. */
export interface SessionObserver {
  opened?(session: SessionFacts): void;
  /** Another consumer took a session over. */
  epochRaised?(session: SessionFacts): void;
  /** It came here from elsewhere. */
  resumed?(session: SessionFacts): void;
  /** It goes on in another engine, `seconds` after the one before was lost for this reason. */
  rebuilt?(session: SessionFacts, cause: Reason, seconds: number): void;
  /** A checkpoint was sealed. */
  checkpoint?(session: SessionFacts, bytes: number): void;
  /** Its turn kills engines. */
  poisoned?(session: SessionFacts): void;
  ended?(session: SessionFacts, end: SessionEnd, seconds: number): void;
  refused?(model: string, error: CabstandError): void;
  /** How long a session waited for a slot, whether it got one or gave up; 0 where one was free. */
  waited?(model: string, seconds: number): void;
  turnStarted?(session: SessionFacts): void;
  /** From the start of the turn to its first chunk. */
  firstChunk?(session: SessionFacts, seconds: number): void;
  /** Between two chunks of a turn while the reader had room. */
  betweenChunks?(session: SessionFacts, seconds: number): void;
  record?(session: SessionFacts): void;
  turnEnded?(session: SessionFacts, reason: string, steps: number): void;
}

/** One observer that tells several. */
export function observers(all: readonly SessionObserver[]): SessionObserver {
  return {
    opened: (session) => all.forEach((each) => each.opened?.(session)),
    epochRaised: (session) => all.forEach((each) => each.epochRaised?.(session)),
    resumed: (session) => all.forEach((each) => each.resumed?.(session)),
    rebuilt: (session, cause, seconds) =>
      all.forEach((each) => each.rebuilt?.(session, cause, seconds)),
    checkpoint: (session, bytes) => all.forEach((each) => each.checkpoint?.(session, bytes)),
    poisoned: (session) => all.forEach((each) => each.poisoned?.(session)),
    ended: (session, end, seconds) => all.forEach((each) => each.ended?.(session, end, seconds)),
    refused: (model, error) => all.forEach((each) => each.refused?.(model, error)),
    waited: (model, seconds) => all.forEach((each) => each.waited?.(model, seconds)),
    turnStarted: (session) => all.forEach((each) => each.turnStarted?.(session)),
    firstChunk: (session, seconds) => all.forEach((each) => each.firstChunk?.(session, seconds)),
    betweenChunks: (session, seconds) =>
      all.forEach((each) => each.betweenChunks?.(session, seconds)),
    record: (session) => all.forEach((each) => each.record?.(session)),
    turnEnded: (session, reason, steps) =>
      all.forEach((each) => each.turnEnded?.(session, reason, steps)),
  };
}
