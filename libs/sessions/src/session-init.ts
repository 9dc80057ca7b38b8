import type { Clock } from '@cabstand/core';
import type { Sealer } from '@cabstand/auth';
import type { TraceContext } from '@cabstand/rpc';
import type { ServedModel } from './engine/engine';
import type { InputCheck } from './input/input-check';
import type { Observe } from './events';
import type { SessionOptionsWithDefaults } from './options';
import type { RebuildPlan } from './resume/plan';
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
  readonly trace?: TraceContext | undefined;
}

export interface SessionDeps {
  readonly options: SessionOptionsWithDefaults;
  readonly clock: Clock;
  readonly observe: Observe;
  readonly sealer: Sealer;
  /** Called when no reader waits for records any more: a stop may be waiting for that, and it may be idle now. */
  readonly onQuiet: () => void;
  /** Its consumer, or somebody who watches it, came or went, or it closes. */
  readonly onReaders: () => void;
  /** A new turn is about to begin. Throws where it must not. */
  readonly onTurn: () => void;
  /** The session has ended, and is about to give back what it has in its engine. */
  readonly onOver: () => void;
  /** The session waits for its model's next engine: `retake` it then. */
  readonly onWaiting: () => void;
  /** Its turn has got past where engines had died. */
  readonly onSurvived: () => void;
  /** The engine that it waits for took it not, as too much was on its way there: it may be asked again. */
  readonly onRetake: () => void;
  /** Called once, when the session has ended. */
  readonly onEnded: (end: SessionEnd) => void;
}
