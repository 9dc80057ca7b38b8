import type { Terminal } from './terminal';

/** What a command gets of the world. */
export interface CliContext {
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream;
  /** Ends the run with this code, where it is not 0. */
  exit(code: number): void;
}
