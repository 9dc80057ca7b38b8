import { CabstandError } from '@cabstand/core';

/** At least what a record's header and the tags around its chunk or checkpoint take. */
const AROUND_BYTES = 64;

/** Whether a message may be able to hold a chunk or a checkpoint of so many bytes. */
export function fitsMessage(bytes: number, messageBytes: number): boolean {
  return bytes + AROUND_BYTES <= messageBytes;
}

/** Why a chunk cannot be sent; undefined where it can. */
export function unsendable(
  position: number,
  chunkBytes: number,
  messageBytes: number,
): CabstandError | undefined {
  if (fitsMessage(chunkBytes, messageBytes)) return undefined;
  return new CabstandError(
    'MESSAGE_TOO_LARGE',
    `the record at position ${position} has ${chunkBytes} bytes of output, more than a message may hold (rpc.max_message_bytes: ${messageBytes}): its turn was ended behind that step, without the output; the session goes on`,
    { metadata: { bytes: String(chunkBytes), limit: String(messageBytes) } },
  );
}
