import type { Clock } from '@cabstand/core';
import type { Sealer } from '@cabstand/auth';
import type { ServedModel } from '../engines/contract';
import type { InputCheck } from './input-check';
import type { SessionObserver } from './observer';
import type { SessionOptionsWithDefaults } from './options';
import type { RebuildPlan } from './resume';
import type { Epoch, Retention, SessionEnd } from './types';

export interface SessionInit {
  readonly id: string;
  /** The caller chose the id, so other calls can find the session. */
  readonly named: boolean;
  readonly principal: string;
  readonly model: ServedModel;
  readonly retention: Retention;
  readonly epoch: Epoch;
  readonly priority: number;
  /** Has checked what came with the opening. */
  readonly inputs: InputCheck;
  /** For a session that goes on from elsewhere. */
  readonly plan?: RebuildPlan | undefined;
}

export interface SessionDeps {
  readonly options: SessionOptionsWithDefaults;
  readonly clock: Clock;
  readonly observer: SessionObserver;
  readonly sealer: Sealer;
  /** Called when no reader waits for records any more: a stop may be waiting for that. */
  readonly onQuiet: () => void;
  /** The session waits for its model's next engine: `retake` it then. */
  readonly onWaiting: () => void;
  /** Its turn has got past where engines had died. */
  readonly onSurvived: () => void;
  /** Called once, when the session has ended. */
  readonly onEnded: (end: SessionEnd) => void;
}
