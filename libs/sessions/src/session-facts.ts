import type { TraceContext } from '@cabstand/rpc';
import type { ServedModel } from './engine/engine';
import type { Epoch, Retention, SessionState } from './types';

/** What the parts of a session and its observers may know of it. */
export interface SessionFacts {
  readonly id: string;
  /** The caller chose the id, so other calls can find the session. */
  readonly named: boolean;
  readonly principal: string;
  readonly model: ServedModel;
  readonly retention: Retention;
  readonly durable: boolean;
  readonly epoch: Epoch;
  readonly state: SessionState;
  /** It holds no slot. */
  readonly idle: boolean;
  /** Next position to be produced. */
  readonly position: number;
  /** The turn that runs or ran last; -1 before the first. */
  readonly turn: number;
  /** What that turn is part of, as its consumer says. */
  readonly trace: TraceContext | undefined;
}
