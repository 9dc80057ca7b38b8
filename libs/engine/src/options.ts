import { parseArgs } from 'node:util';
import { invalid } from '@cabstand/core';
import { DEFAULT_MESSAGE_BYTES, largestFrame } from './frames/limits';

/** What an engine process is started with. */
export interface ProcessOptions {
  /** Path of the Unix socket that main listens on. */
  readonly socket: string;
  /** Largest frame that is taken, in bytes. */
  readonly maxFrameBytes: number;
}

export function parseProcessOptions(args: readonly string[]): ProcessOptions {
  const { values } = parseArgs({
    args: [...args],
    options: { socket: { type: 'string' }, 'max-frame-bytes': { type: 'string' } },
  });
  if (values.socket === undefined || values.socket === '')
    throw invalid('INVALID_ARGUMENT', '--socket', values.socket, 'the path of a Unix socket');
  const maxFrameBytes = Number(values['max-frame-bytes'] ?? largestFrame(DEFAULT_MESSAGE_BYTES));
  if (!Number.isSafeInteger(maxFrameBytes) || maxFrameBytes < 1024)
    throw invalid('INVALID_ARGUMENT', '--max-frame-bytes', maxFrameBytes, 'at least 1024');
  return { socket: values.socket, maxFrameBytes };
}
