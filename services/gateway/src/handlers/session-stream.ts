import { CabstandError, systemClock } from '@cabstand/core';
import { wireEndReason, wireError } from '@cabstand/rpc';
import type { BidiHandler, ServerCall, v1 } from '@cabstand/rpc';
import type { Held } from '../held-sessions';
import { KnownModels } from '../known-models';
import { checkOpen } from './context';
import type { HandlerContext } from './context';
import {
  parseAttachFrom,
  parseEpoch,
  parseExistingId,
  parsePriority,
  parseSessionId,
} from './parse';
import { isRelayed, relaySession } from './relay';
import { writeNotices } from './serve-turn';
import type { Out } from './serve-turn';
import { StreamedSession } from './streamed-session';
import type { SessionEnd } from './streamed-session';
import { offersOf, survivalOf } from './survival';
import type { Described } from './survival';
import { watchSession } from './viewing';

type Request = v1.SessionStreamRequest__Output;

/** A whole session on one stream: its first message opens or attaches. */
export function sessionStream(
  context: HandlerContext,
): BidiHandler<Request, v1.SessionStreamResponse> {
  const described: Described = new KnownModels(systemClock);
  return async (requests, call, out) => {
    const iterator = requests[Symbol.asyncIterator]();
    const first = await iterator.next();
    if (first.done === true) return;
    checkOpen(context);
    const { attach } = first.value;
    if (attach?.role === 'ATTACH_ROLE_VIEWER') {
      await watchSession(context, attach, call, out);
      return;
    }
    if (isRelayed(first.value)) {
      await relaySession(context, first.value, iterator, call, out);
      return;
    }
    const { held, durable, running, survival } = await begin(context, described, first.value, call);
    if (!running) tellOpened(context, held, survival, out);
    using _notices = writeNotices(held.session, out, !running);
    const streamed = new StreamedSession(context, held, call, out, survival);
    if (running) streamed.goOn();
    let end: SessionEnd | undefined;
    try {
      end = await streamed.run(iterator);
    } finally {
      // A durable one goes on for whoever attaches to it next, with the turn that runs.
      if (end !== undefined || !durable) await context.sessions.end(held);
      else if (streamed.turnRuns) await context.sessions.letGo(held);
      else context.sessions.keep(held);
    }
    if (end === undefined && durable) return;
    const { reason, error } = end ?? COMPLETED;
    out.push({ closed: { reason: wireEndReason(reason), error: wireError(error) } });
    if (error !== undefined) throw error;
  };
}

const COMPLETED: SessionEnd = { reason: 'completed', error: undefined };

interface Begun {
  readonly held: Held;
  readonly durable: boolean;
  /** A turn is under way whose records are to come. */
  readonly running: boolean;
  /** What a module's session outlives, where that is known. */
  readonly survival: v1.Survival;
}

async function begin(
  context: HandlerContext,
  described: Described,
  first: Request,
  call: ServerCall,
): Promise<Begun> {
  if (first.message === 'open' && first.open) return open(context, described, first.open, call);
  if (first.message === 'attach' && first.attach) {
    const { session_id: id, epoch, from_position: from } = first.attach;
    const held = await context.sessions.take(call.principal, {
      id: parseExistingId(id),
      epoch: parseEpoch(epoch),
      model: '',
      from: parseAttachFrom(from),
      fromField: 'from_position',
    });
    const running = held.session.turnPending;
    // The hoster of a turn that runs says so itself, and the session of a module has no other one.
    return { held, durable: true, running, survival: 'SURVIVAL_UNSPECIFIED' };
  }
  throw new CabstandError(
    'INVALID_ARGUMENT',
    `the first message must be open or attach, not ${first.message ?? 'empty'}`,
    { metadata: { field: 'message' } },
  );
}

async function open(
  context: HandlerContext,
  described: Described,
  request: v1.Open__Output,
  call: ServerCall,
): Promise<Begun> {
  const { principal } = call;
  const id = parseSessionId(request.session_id);
  const { model, durable } = request;
  if (id === undefined && durable)
    throw new CabstandError(
      'INVALID_ARGUMENT',
      'open.session_id: got nothing, expected an id: durable sessions have one',
      { metadata: { field: 'open.session_id' } },
    );
  if (request.resume !== null)
    throw new CabstandError(
      'INVALID_ARGUMENT',
      'open.resume: a gateway resumes sessions by itself: attach to the session by its name',
      { metadata: { field: 'open.resume' } },
    );
  if (model === '')
    throw new CabstandError('INVALID_ARGUMENT', 'open.model: got nothing, expected a name', {
      metadata: { field: 'open.model', expected: 'a name' },
    });
  const priority = parsePriority(request.priority, principal);
  const epoch = id === undefined ? 0 : parseEpoch(request.epoch);
  const survival = await survivalOf(context, described, model, call);
  const held = await context.sessions.openNew(principal, { id, epoch, model, priority });
  return { held, durable, running: false, survival };
}

/** A session is at no hoster before its first turn: what is said of it is what all hosters have in common. */
function tellOpened(
  { identity, remote }: HandlerContext,
  { session }: Held,
  survival: v1.Survival,
  out: Out,
): void {
  const offers = offersOf(remote, session.model);
  const common = (of: (offer: (typeof offers)[number]) => string): string => {
    const values = new Set(offers.map(of));
    return values.size === 1 ? ([...values][0] ?? '') : '';
  };
  out.push({
    notice: {
      opened: {
        session_id: session.id,
        position: session.position,
        model: session.model,
        version: common(({ version }) => version),
        digest: common(({ digest }) => digest),
        provider: common(({ provider }) => provider),
        node_id: identity.nodeId,
        incarnation: identity.incarnation,
        survival,
      },
    },
  });
}
