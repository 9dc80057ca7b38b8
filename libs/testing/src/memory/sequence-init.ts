import type { BoundedMap } from '@cabstand/core';
import type { Sequence } from '@cabstand/sessions';
import type { Tensor } from '@cabstand/tensor';
import type { Trial } from './strike';
import type { MockProtocolOptions, MockTurn } from './types';

/** What a snapshot of a scripted model stands for. */
export interface ScriptedState {
  /** Records that the turn had made; 0 between two. */
  readonly made: number;
  readonly parts: readonly (readonly Tensor[])[];
  /** Whether it was taken between two turns. */
  readonly ended: boolean;
  /** Of a module's session. */
  readonly module?: ModuleState;
}

/** A module's session at a checkpoint. */
export interface ModuleState {
  readonly state: Record<string, unknown>;
  /** Number of the author's newest call. */
  readonly point: number;
  readonly chain: number;
  /** Commands applied. */
  readonly commands: number;
  /** Records of the turn. */
  readonly made: number;
  /** Of them, those that tell of no input. */
  readonly told: number;
  /** Parts taken. */
  readonly parts: number;
}

export interface SequenceInit {
  readonly hoster: string;
  readonly model: string;
  readonly answer: NonNullable<MockProtocolOptions['answer']>;
  /** Stands for memory that all engines of a subnet can read snapshots from. */
  readonly states: BoundedMap<string, ScriptedState>;
  readonly seen: (turn: MockTurn) => void;
  /** What the turn is to go through. Throws what it is refused with. */
  readonly trial: (session: string, turn: number) => Trial;
  readonly closed: (sequence: Sequence) => void;
}
