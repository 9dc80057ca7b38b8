import { CabstandError } from '@cabstand/core';

/** At least what a record's header and the tags around its chunk take. */
const AROUND_BYTES = 64;

/** Why a chunk cannot be sent; undefined where it can. */
export function unsendable(
  position: number,
  chunkBytes: number,
  messageBytes: number,
): CabstandError | undefined {
  if (chunkBytes + AROUND_BYTES <= messageBytes) return undefined;
  return new CabstandError(
    'MESSAGE_TOO_LARGE',
    `the record at position ${position} has ${chunkBytes} bytes of output, more than a message may hold (rpc.max_message_bytes: ${messageBytes}): its turn was ended behind that step, without the output; the session goes on`,
    { metadata: { bytes: String(chunkBytes), limit: String(messageBytes) } },
  );
}
