/** Opens the graph of a language model, with a tail where it takes one. */
import { open } from 'node:fs/promises';
import { CabstandError } from '@cabstand/core';
import type { LanguageModelProgram } from '@cabstand/model';
import type { GraphSession } from '../../graphs/graph-session';
import { callsApi, createSession } from '../../graphs/session';
import type { SessionOptions } from '../../graphs/binding';
import { tailOf } from './cache/tail';
import { Decoder } from './decoder';

/** Protobuf has no larger messages. */
const LARGEST = 2 ** 31 - 1;

/** @throws CabstandError MODEL_FAILED where ONNX Runtime does not take the file. */
export async function openDecoder(
  file: string,
  program: LanguageModelProgram,
  options: SessionOptions,
): Promise<Decoder> {
  // By the C API new columns are written where the others are: the binding makes an array of all that is fetched.
  if (program.cache.kind === 'fixed' && (await callsApi(options))) {
    const session = await withTail(file, program, options, 'scores');
    if (session !== undefined && session.calledBy !== 'binding')
      return new Decoder(session, program, 'scores');
    await session?.release();
  }
  const tailed = await withTail(file, program, options, 'columns');
  if (tailed !== undefined) return new Decoder(tailed, program, 'columns');
  return new Decoder(await createSession(file, options), program);
}

/** Undefined where the file is too large to be held in one piece, or does not load so. */
async function withTail(
  file: string,
  program: LanguageModelProgram,
  options: SessionOptions,
  tail: 'scores' | 'columns',
): Promise<GraphSession | undefined> {
  try {
    const bytes = await readBefore(file, tailOf(program, tail === 'columns'));
    return bytes && (await createSession(file, options, bytes));
  } catch (error) {
    process.stderr.write(
      `engine: caches are fetched whole: ${CabstandError.from(error).message}\n`,
    );
    return undefined;
  }
}

/** The file's bytes with others behind them, in memory of one piece. */
async function readBefore(file: string, tail: Uint8Array): Promise<Uint8Array | undefined> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    if (size + tail.length > LARGEST) return undefined;
    const bytes = Buffer.allocUnsafe(size + tail.length);
    for (let at = 0; at < size;) {
      const { bytesRead } = await handle.read(bytes, at, size - at, at);
      if (bytesRead === 0) return undefined;
      at += bytesRead;
    }
    bytes.set(tail, size);
    return bytes;
  } finally {
    await handle.close();
  }
}
