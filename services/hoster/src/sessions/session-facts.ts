import type { ServedModel } from '../engines/contract';
import type { Epoch, Retention, SessionState } from './types';

/** What observers may know of a session. */
export interface SessionFacts {
  readonly id: string;
  readonly principal: string;
  readonly model: ServedModel;
  readonly retention: Retention;
  readonly durable: boolean;
  readonly epoch: Epoch;
  readonly state: SessionState;
  /** Next position to be produced. */
  readonly position: number;
}
