import { open } from 'node:fs/promises';
import { CabstandError } from '@cabstand/core';

/** Where the bytes of a WAV file come from. */
export interface WavSource {
  /** For errors. */
  readonly name: string;
  readonly size: number;
  /** Up to `length` bytes; fewer at the end. */
  read(offset: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** Throws INVALID_ARGUMENT for a file that cannot be read. */
export async function fileSource(path: string): Promise<WavSource> {
  try {
    const file = await open(path, 'r');
    const stat = await file.stat();
    if (stat.isDirectory()) {
      await file.close();
      throw new Error('it is a folder');
    }
    const { size } = stat;
    return {
      name: path,
      size,
      read: async (offset, length) => {
        const buffer = Buffer.alloc(length);
        const { bytesRead } = await file.read(buffer, 0, length, offset);
        return buffer.subarray(0, bytesRead);
      },
      close: () => file.close(),
    };
  } catch (error) {
    const message = `cannot read ${path}: ${whyNot(error)}`;
    throw new CabstandError('INVALID_ARGUMENT', message, { cause: error });
  }
}

function whyNot(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return `there is no such file (looked for in ${process.cwd()})`;
  return CabstandError.from(error).message;
}

export function bytesSource(bytes: Uint8Array): WavSource {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    name: 'the audio',
    size: buffer.length,
    read: (offset, length) => Promise.resolve(buffer.subarray(offset, offset + length)),
    close: () => Promise.resolve(),
  };
}
