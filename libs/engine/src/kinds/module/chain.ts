/** A number that two runs of a session agree on only if they made the same records. */
import { crc32 } from 'node:zlib';
import { RecordField } from '../../frames/module-frames';
import { decodeChunk } from '../../verify/decode-chunk';

/** `shape` leaves the elements of floats out: other processors round them otherwise. */
export type ReplayCheck = 'exact' | 'shape';

const FLOATS: ReadonlySet<string> = new Set(['float16', 'float32', 'float64', 'bfloat16']);

/** CRC-32 (IEEE 802.3) over the bodies of records up to this one, going on from that of those before it. */
export function chainAfter(
  chain: number,
  field: number,
  body: Buffer,
  check: ReplayCheck = 'exact',
): number {
  if (check === 'exact' || field !== RecordField.chunk) return crc32(body, chain);
  const { outputs, text } = decodeChunk(body);
  let sum = crc32(text, chain);
  for (const { name, dtype, shape, data, strings } of outputs) {
    sum = crc32(JSON.stringify([name, dtype, shape, strings]), sum);
    if (!FLOATS.has(dtype)) sum = crc32(data, sum);
  }
  return sum;
}
