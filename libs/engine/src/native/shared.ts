import type { Library, Pointer } from './library';
import type { Values } from './values';

/** What all sessions of a process share. */
export interface Runtime {
  readonly library: Library;
  readonly values: Values;
  readonly environment: Pointer;
  readonly allocator: Pointer;
  /** Of runs: those that fail say so, and nothing is logged. */
  readonly quiet: Pointer;
}
