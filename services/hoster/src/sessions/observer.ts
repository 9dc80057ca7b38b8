import type { CabstandError } from '@cabstand/core';
import type { ServedModel } from '../engines/contract';
import type { Epoch, SessionEnd } from './types';

/** What watchers see of a session. */
export interface ObservedSession {
  readonly id: string;
  readonly durable: boolean;
  readonly principal: string;
  readonly model: ServedModel;
  readonly epoch: Epoch;
  /** The next one to be produced. */
  readonly position: number;
}

/** Watches the core, for metrics, logs and the router's claims. Must not throw. */
export interface SessionObserver {
  opened?(session: ObservedSession): void;
  /** Another consumer took a session over. */
  epochRaised?(session: ObservedSession): void;
  ended?(session: ObservedSession, end: SessionEnd, seconds: number): void;
  refused?(model: string, error: CabstandError): void;
  turnStarted?(session: ObservedSession): void;
  /** From the start of the turn to its first chunk. */
  firstChunk?(session: ObservedSession, seconds: number): void;
  /** Between two chunks of a turn while the reader had room. */
  betweenChunks?(session: ObservedSession, seconds: number): void;
  record?(session: ObservedSession): void;
  turnEnded?(session: ObservedSession, reason: string, steps: number): void;
}

/** One observer that tells several. */
export function observers(all: readonly SessionObserver[]): SessionObserver {
  return {
    opened: (session) => all.forEach((each) => each.opened?.(session)),
    epochRaised: (session) => all.forEach((each) => each.epochRaised?.(session)),
    ended: (session, end, seconds) => all.forEach((each) => each.ended?.(session, end, seconds)),
    refused: (model, error) => all.forEach((each) => each.refused?.(model, error)),
    turnStarted: (session) => all.forEach((each) => each.turnStarted?.(session)),
    firstChunk: (session, seconds) => all.forEach((each) => each.firstChunk?.(session, seconds)),
    betweenChunks: (session, seconds) =>
      all.forEach((each) => each.betweenChunks?.(session, seconds)),
    record: (session) => all.forEach((each) => each.record?.(session)),
    turnEnded: (session, reason, steps) =>
      all.forEach((each) => each.turnEnded?.(session, reason, steps)),
  };
}
