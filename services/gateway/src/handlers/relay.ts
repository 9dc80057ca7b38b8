import { CabstandError, abortReason, linkSignals, systemClock } from '@cabstand/core';
import type { Target } from '@cabstand/client/protocol';
import { Encoded, HosterService } from '@cabstand/rpc';
import type { BidiMethod, BidiStream, ServerCall, v1 } from '@cabstand/rpc';
import type { HandlerContext } from './context';
import { placesFor } from './relay-places';
import type { Place } from './relay-places';
import type { Out } from './serve-turn';

type Request = v1.SessionStreamRequest__Output;
type Stream = BidiStream<v1.SessionStreamRequest, Encoded>;

interface Begun {
  readonly stream: Stream;
  readonly place: Place;
}

/** For the first word of a hoster, in milliseconds: callers wait for ten seconds by default. */
const FIRST_WORD_MS = 8000;

/** Responses as they came: nobody here reads what is in them. */
const BYTES: BidiMethod<v1.SessionStreamRequest, Request, v1.SessionStreamResponse, Encoded> = {
  ...HosterService.rpc_session_stream,
  response: {
    encode: HosterService.rpc_session_stream.response.encode,
    decode: (bytes) => new Encoded(bytes),
  },
};

/** Whether a caller keeps what it takes to go on with its session: all of it goes through to a hoster, and back. */
export function isRelayed({ open, attach }: Request): boolean {
  return open ? open.durable && open.resumes : attach?.resumes === true;
}

/**
 * Passes a session through between its caller and the hoster that has it, or is to have it, until one of them ends
 * the stream. Throws what the hoster ended it with, and DRAINING where the gateway stops: the caller goes on elsewhere.
 */
export async function relaySession(
  context: HandlerContext,
  first: Request,
  requests: AsyncIterator<Request>,
  call: ServerCall,
  out: Out,
): Promise<void> {
  using _room = context.sessions.pass(call.principal);
  using ends = linkSignals([call.signal, context.stopping]);
  const { stream, place } = await begun(context, first, call, ends.signal);
  const up = passUp(requests, stream);
  up.catch((thrown: unknown) => stream.cancel(CabstandError.from(thrown)));
  try {
    for (;;) {
      for (let one = stream.responses.read(); one !== undefined; one = stream.responses.read())
        if (!out.push(one)) await out.drained();
      if (!(await stream.responses.ready())) return;
    }
  } catch (thrown) {
    if (call.signal.aborted) throw thrown;
    if (context.stopping.aborted)
      throw new CabstandError('DRAINING', 'this gateway is stopping: another one goes on');
    const error = CabstandError.from(thrown);
    if (error.class === 'node') context.remote.settle(place.node, outcomeOf(error, place));
    throw error;
  } finally {
    stream.cancel();
  }
}

async function passUp(requests: AsyncIterator<Request>, stream: Stream): Promise<void> {
  for (;;) {
    const next = await requests.next();
    if (next.done === true) {
      stream.end();
      return;
    }
    await stream.send(next.value);
  }
}

/** A stream to the first hoster that takes the session. Throws what all say, or the last one. */
async function begun(
  context: HandlerContext,
  first: Request,
  call: ServerCall,
  signal: AbortSignal,
): Promise<Begun> {
  let last: CabstandError | undefined;
  for await (const place of placesFor(context, first, call, signal)) {
    try {
      return { stream: await beginAt(context, place, first, call, signal), place };
    } catch (thrown) {
      if (signal.aborted) throw abortReason(signal);
      last = CabstandError.from(thrown);
      context.remote.settle(place.node, outcomeOf(last, place));
      if (isFinal(last, first)) throw last;
    }
  }
  throw last ?? new CabstandError('NO_NODE', 'no hoster takes the session');
}

async function beginAt(
  { hosters, named, remote }: HandlerContext,
  { node, ticket }: Place,
  first: Request,
  { principal }: ServerCall,
  signal: AbortSignal,
): Promise<Stream> {
  const stream = hosters
    .get(node.address)
    .bidi(BYTES, { signal, onBehalfOf: named ? principal.id : undefined });
  const late = systemClock.setTimer(() => stream.cancel(silent(node)), FIRST_WORD_MS, {
    unref: true,
  });
  try {
    const { open } = first;
    await stream.send(open ? { open: { ...open, ticket } } : first);
    if (await stream.responses.ready()) {
      remote.settle(node, { kind: 'served' });
      return stream;
    }
    throw new CabstandError('NODE_BAD_REPLY', `${node.address} ended the stream without a word`);
  } catch (thrown) {
    stream.cancel();
    throw thrown;
  } finally {
    late.cancel();
  }
}

const silent = ({ address }: Target): CabstandError =>
  new CabstandError('NODE_STALLED', `${address} said nothing within ${FIRST_WORD_MS} ms`, {
    metadata: { address },
  });

function outcomeOf(error: CabstandError, { leaseId }: Place) {
  if (error.class === 'node') return { kind: 'failed', error, leaseId } as const;
  return error.class === 'overload'
    ? ({ kind: 'refused', error } as const)
    : ({ kind: 'undecided' } as const);
}

/** What says something about the hoster that was asked, though it looks like the caller's. */
const HOSTERS_OWN: ReadonlySet<string> = new Set(['MODEL_UNKNOWN', 'CHECKPOINT_INVALID']);

/** Whether no other hoster would say anything else. */
function isFinal({ reason, class: kind }: CabstandError, { open }: Request): boolean {
  // It has left this one, while it was looked for.
  if (reason === 'SESSION_ENDED' && (open?.resume ?? undefined) !== undefined) return false;
  return (kind === 'caller' || kind === 'auth' || kind === 'fatal') && !HOSTERS_OWN.has(reason);
}
