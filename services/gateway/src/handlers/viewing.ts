import { CabstandError } from '@cabstand/core';
import type { MessageNotice, ModuleNotice } from '@cabstand/client';
import { wireEndReason, wireError } from '@cabstand/rpc';
import type { ServerCall, StreamWriter, v1 } from '@cabstand/rpc';
import { toWire } from '@cabstand/tensor';
import type { HandlerContext } from './context';
import { parseExistingId } from './parse';
import { json } from './wire';

/** Passes on what one sees who only watches a session; it goes along when that moves. */
export async function watchSession(
  { callers }: HandlerContext,
  { session_id: id, ticket }: v1.Attach__Output,
  { principal, signal }: ServerCall,
  out: StreamWriter<v1.SessionStreamResponse>,
): Promise<void> {
  const { manager } = callers.of(principal);
  await using view = await manager.view(parseExistingId(id), {
    signal,
    ...(ticket !== '' && { ticket }),
  });
  let closed: v1.Closed | undefined;
  let behind = false;
  // A viewer that is behind misses what is beside the chunks, too.
  const push = (message: v1.SessionStreamResponse): void => {
    if (!behind) behind = !out.push(message);
  };
  view.on('message', ({ name, message, position, turn }: MessageNotice) =>
    push({ record: { position, turn, message: { name, json: json(message) } } }),
  );
  view.on('notice', ({ name, value, turn }: ModuleNotice) =>
    push({ notice: { module: { name, json: json(value), turn } } }),
  );
  view.on('skipped', ({ records }) => push({ notice: { skipped: { records } } }));
  view.on('end', ({ reason, error }) => {
    closed = { reason: wireEndReason(reason), error: wireError(error) };
  });
  for await (const { position, turn, text, tensors } of view) {
    const chunk = { outputs: tensors.map((one) => toWire(one)), text };
    await out.write({ record: { position, turn, chunk } });
    behind = false;
  }
  if (closed === undefined)
    throw new CabstandError('SESSION_ENDED', 'the session is not there any more');
  out.push({ closed });
}
