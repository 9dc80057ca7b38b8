/** Checkpoints travel whole, in one message: a model whose checkpoints none can hold is of no use to durable sessions. */
import { CabstandError } from '@cabstand/core';

/**
 * What a message holds beside the snapshot in it: the seal and what it is bound to (about 1 KiB), and
 * either the end of a turn with its error (metadata of 32 KiB at most) or the fields of a resume.
 */
const AROUND_BYTES = 64 * 1024;

/** Bytes of the largest snapshot that messages of `messageBytes` hold. */
export function snapshotRoom(messageBytes: number): number {
  return Math.max(0, messageBytes - AROUND_BYTES);
}

/**
 * Throws MODEL_FAILED where snapshots of a model may be too large for messages of `messageBytes`.
 *
 * @param stateBytes of one session
 * @param snapshotBytes no snapshot is larger
 */
export function checkSnapshotFits(
  stateBytes: number,
  snapshotBytes: number,
  messageBytes: number,
): void {
  const needed = snapshotBytes + AROUND_BYTES;
  if (needed <= messageBytes) return;
  throw new CabstandError(
    'MODEL_FAILED',
    `a checkpoint of this model holds ${stateBytes} bytes of state and needs a message of ${needed} bytes, ` +
      `more than rpc.max_message_bytes of the hoster allows, ${messageBytes}: set it, and maxMessageBytes of clients, to at least ${needed}`,
    {
      metadata: {
        state_bytes: String(stateBytes),
        needed_bytes: String(needed),
        limit_bytes: String(messageBytes),
        limit: 'rpc.max_message_bytes',
      },
    },
  );
}
