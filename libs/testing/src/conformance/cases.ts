import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import type { MockFailure } from '../memory/types';

/** One turn that the client runs, and reads to its end. */
export type TurnDeed =
  /** The scripted model gives back each word. */
  | { readonly prompt: string }
  /** Parts of live input `x`, one float32 each; the scripted model gives each part back. */
  | { readonly live: readonly number[] };

/** What the client does. */
export interface Deeds {
  /** Default true. */
  readonly durable?: boolean;
  /** The client leaves a hoster that is silent for so long, in milliseconds. Default: its own. */
  readonly stallMs?: number;
  readonly turns: readonly TurnDeed[];
}

/** What must come of a turn: its records, then its end or an error. */
export interface ExpectedTurn {
  readonly texts?: readonly string[];
  readonly values?: readonly number[];
  /** Records, where which they are says nothing. */
  readonly count?: number;
  /** Reason. Default: it completes. */
  readonly error?: string;
}

export interface ConformanceCase {
  readonly name: string;
  readonly about: string;
  readonly given?: {
    /** Default 2. */
    readonly hosters?: number;
    /** Records between two checkpoints. Default 4; 0: none within a turn. */
    readonly checkpointEvery?: number;
    readonly ackEvery?: number;
    readonly failures?: readonly MockFailure[];
  };
  readonly do: Deeds;
  readonly then: {
    readonly turns: readonly ExpectedTurn[];
    /** How often hosters began to compute a turn. Default: not looked at. */
    readonly taken?: number;
    /** Most sessions that are open when the client has closed its own. Default 0. */
    readonly left?: number;
  };
}

const FILE = path.resolve(__dirname, '../../conformance/cases.yaml');

/** All cases, in the order of their file. */
export function conformanceCases(): readonly ConformanceCase[] {
  return parse(readFileSync(FILE, 'utf8')) as ConformanceCase[];
}
