import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { breathe } from '@cabstand/core';
import type { TurnContent } from '../types';

const known = new WeakMap<TurnContent, string>();

/** Bytes that are digested in one go: about two milliseconds where a processor has no help for it. */
const SLICE = 512 * 1024;

/** Tells whether two turns have the same content. */
export function turnDigest(content: TurnContent): string {
  const before = known.get(content);
  if (before !== undefined) return before;
  const hash = createHash('sha256');
  for (const _ of digest(content, hash));
  return hash.digest('base64');
}

/** Makes the digest of large content, so that `turnDigest` has it. */
export async function digestInSlices(content: TurnContent): Promise<void> {
  const hash = createHash('sha256');
  let done = 0;
  for (const bytes of digest(content, hash)) {
    done += bytes;
    if (done < SLICE) continue;
    done = 0;
    await breathe();
  }
  known.set(content, hash.digest('base64'));
}

/** Yields the bytes of each piece. */
function* digest(content: TurnContent, hash: Hash): Generator<number, void> {
  const parameters = Object.entries(content.parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  hash.update(JSON.stringify([content.prompt, parameters, content.live]));
  yield content.prompt.length;
  for (const { name, dtype, shape, data, strings } of content.tensors) {
    hash.update(JSON.stringify([name, dtype, shape, strings ?? null, data.byteLength]));
    for (let at = 0; at < data.byteLength; at += SLICE) {
      hash.update(data.subarray(at, at + SLICE));
      yield Math.min(SLICE, data.byteLength - at);
    }
  }
}
