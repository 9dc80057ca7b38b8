export { runCli } from './program';
export type { CliStreams } from './program';
export { ExitCode } from './errors';
