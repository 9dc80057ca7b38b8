import { CabstandError, abortReason, sleep } from '@cabstand/core';
import type { ServerCall, StreamWriter, v1 } from '@cabstand/rpc';
import { expiredShare } from '@cabstand/sessions';
import type { Session } from '@cabstand/sessions';
import type { HandlerContext } from './context';
import { openedNotice } from './opening';
import { parseSessionId } from './parse';
import { StreamConsumer } from './stream-consumer';
import { wireClosed } from './wire';

/**
 * Lets a call watch a session, until that ends or the call does, or the time of its ticket is over (SHARE_INVALID). Throws SESSION_UNKNOWN, SESSION_ENDED,
 * SESSION_BUSY for one that waits for a slot, LIMIT_EXCEEDED where many watch it, and INVALID_ARGUMENT
 * for anything that the call sends besides.
 */
export async function watchSession(
  context: HandlerContext,
  request: v1.Attach__Output,
  call: ServerCall,
  requests: AsyncIterator<v1.SessionStreamRequest__Output>,
  out: StreamWriter<v1.SessionStreamResponse>,
): Promise<void> {
  const { session, leftMs } = watched(context, request, call);
  const consumer = new StreamConsumer(out);
  const { opened } = openedNotice(context, session, session.position);
  // It acknowledges nothing.
  const acks = { ack_every: 0, ack_records: 0, ack_bytes: 0 };
  out.push({ notice: { opened: { ...opened, ...acks } } });
  consumer.attached(session.view(consumer));
  await consumer.during(call.signal, async () => {
    const gone = await Promise.race([
      consumer.over(),
      onlyWatches(requests),
      ...(leftMs === undefined ? [] : [expiry(leftMs, call.signal)]),
    ]);
    if (call.signal.aborted) throw abortReason(call.signal);
    if (gone.kind === 'replaced') throw gone.error;
    out.push({ closed: wireClosed(gone.end) });
    if (gone.end.error !== undefined) throw gone.end.error;
  });
}

/** What the caller may watch: a session of his own, or for so long one that he has a ticket for. */
function watched(
  { sessions }: HandlerContext,
  { session_id, ticket }: v1.Attach__Output,
  { principal }: ServerCall,
): { readonly session: Session; readonly leftMs?: number } {
  const id = parseSessionId(session_id);
  if (ticket !== '') return sessions.shares.find(id, ticket, principal.id);
  return { session: sessions.find(id, principal.id) };
}

async function expiry(ms: number, signal: AbortSignal): Promise<never> {
  await sleep(ms, signal);
  throw expiredShare();
}

/** Does not resolve: whoever watches has nothing to say, and may say so by half-closing. */
async function onlyWatches(
  requests: AsyncIterator<v1.SessionStreamRequest__Output>,
): Promise<never> {
  const next = await requests.next();
  if (next.done === true) return await new Promise<never>(() => undefined);
  throw new CabstandError(
    'INVALID_ARGUMENT',
    `${next.value.message ?? 'nothing'} came from a call that only watches`,
    { metadata: { field: 'message', expected: 'nothing' } },
  );
}
