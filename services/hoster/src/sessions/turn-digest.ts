import { createHash } from 'node:crypto';
import type { TurnContent } from './types';

/** Tells whether two turns have the same content. */
export function turnDigest(content: TurnContent): string {
  const hash = createHash('sha256');
  const parameters = Object.entries(content.parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  hash.update(JSON.stringify([content.prompt, parameters, content.live]));
  for (const { name, dtype, shape, data, strings } of content.tensors) {
    hash.update(JSON.stringify([name, dtype, shape, strings ?? null, data.byteLength]));
    hash.update(data);
  }
  return hash.digest('base64');
}
