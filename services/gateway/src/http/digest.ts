import { createHash } from 'node:crypto';
import type { TurnInput } from '@cabstand/client/protocol';

/** Of all that a turn computes on: two calls with the same one ask for the same. */
export function digestOf({ prompt, parameters, tensors }: TurnInput, model = ''): string {
  const hash = createHash('sha256');
  const shapes = tensors.map(({ name, dtype, shape, strings }) => [name, dtype, shape, strings]);
  hash.update(JSON.stringify([model, prompt, parameters, shapes]));
  for (const { data } of tensors) hash.update(data);
  return hash.digest('base64');
}
