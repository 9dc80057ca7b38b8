import type { CabstandError } from '@cabstand/core';
import type { Session } from './session';
import type { SessionEnd } from './types';

/** Watches the core, for metrics, logs and the router's claims. Must not throw. */
export interface SessionObserver {
  opened?(session: Session): void;
  /** Another consumer took a session over. */
  epochRaised?(session: Session): void;
  ended?(session: Session, end: SessionEnd, seconds: number): void;
  refused?(model: string, error: CabstandError): void;
  turnStarted?(session: Session): void;
  /** From the start of the turn to its first chunk. */
  firstChunk?(session: Session, seconds: number): void;
  /** Between two chunks of a turn while the reader had room. */
  betweenChunks?(session: Session, seconds: number): void;
  record?(session: Session): void;
  turnEnded?(session: Session, reason: string, steps: number): void;
  leaseConsumed?(leaseId: string): void;
}
