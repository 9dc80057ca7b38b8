import type { CabstandError, Reason } from '@cabstand/core';
import type { TurnEnd } from '@cabstand/engine';
import type { TraceContext } from '@cabstand/rpc';
import type { SessionFacts } from './session-facts';
import type { SessionEnd } from './types';

/** What happens in the core, for metrics, logs and the router's claims. Times are in seconds. */
export type SessionEvent =
  | {
      readonly kind:
        | 'opened'
        /** Another consumer took the session over. */
        | 'epoch_raised'
        /** The session came here from elsewhere. */
        | 'resumed'
        /** The session is idle: it has given its slot back. */
        | 'rested'
        /** It has one again, for its next turn. */
        | 'stirred'
        /** A turn was given to the engine, for the first time here. */
        | 'turn_started'
        /** The session's turn kills engines. */
        | 'poisoned'
        /** A module sent a message; it is a record, too. */
        | 'message'
        | 'record';
      readonly session: SessionFacts;
    }
  /** The session goes on in another engine, so long after the one before was lost for this reason. */
  | {
      readonly kind: 'rebuilt';
      readonly session: SessionFacts;
      readonly cause: Reason;
      readonly seconds: number;
    }
  /** A module has carried out a command. */
  | { readonly kind: 'command'; readonly session: SessionFacts; readonly outcome: CommandOutcome }
  /** A checkpoint was sealed. */
  | { readonly kind: 'checkpoint'; readonly session: SessionFacts; readonly bytes: number }
  | {
      readonly kind: 'ended';
      readonly session: SessionFacts;
      readonly end: SessionEnd;
      readonly seconds: number;
    }
  | { readonly kind: 'refused'; readonly model: string; readonly error: CabstandError }
  /** How long a session waited for a slot, whether it got one or gave up; 0 where one was free. */
  | {
      readonly kind: 'waited';
      readonly model: string;
      readonly seconds: number;
      readonly trace: TraceContext | undefined;
    }
  /** From the start of the turn, or from the chunk before while the reader had room. */
  | {
      readonly kind: 'first_chunk' | 'between_chunks';
      readonly session: SessionFacts;
      readonly seconds: number;
    }
  | {
      readonly kind: 'turn_ended';
      readonly session: SessionFacts;
      readonly reason: string;
      readonly end: TurnEnd;
    };

/** What became of a command: it has a result, its author refused it, or one of the reasons COMMAND_*. */
export type CommandOutcome = 'done' | 'rejected' | 'invalid' | 'unknown' | 'failed';

/** Hears what happens. Must not throw. */
export type Observe = (event: SessionEvent) => void;
