import { CabstandError, abortReason } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import { publicError, wireSurvival } from '@cabstand/rpc';
import type { ServerCall, v1 } from '@cabstand/rpc';
import type { OpenRequest, ServedModel, Session, SessionEnd } from '@cabstand/sessions';
import { ackWish } from '@cabstand/sessions';
import type { HandlerContext } from './context';
import { wireBatchClass } from './wire';

/** Opens a session for a call; a ticket, if there is one, must be good here. */
export async function openSession(
  context: HandlerContext,
  call: Pick<ServerCall, 'principal' | 'signal' | 'trace'>,
  request: Omit<OpenRequest, 'principal'>,
  ticket: string,
): Promise<Session> {
  if (request.model === '')
    throw new CabstandError('INVALID_ARGUMENT', 'model: got nothing, expected a name', {
      metadata: { field: 'model', expected: 'a name' },
    });
  const principal = call.principal.id;
  const { nodeId, incarnation } = context.identity;
  const lease =
    ticket === ''
      ? undefined
      : context.tickets.verify(ticket, { model: request.model, nodeId, incarnation, principal });
  const priority = allowed(context, call.principal, request.priority);
  const { signal, trace } = call;
  const session = await context.sessions.open({ ...request, principal, priority, trace }, signal);
  if (lease !== undefined) context.leaseConsumed(lease.leaseId);
  if (call.signal.aborted) {
    letGo(context, session, request, { reason: 'cancelled' });
    throw abortReason(call.signal);
  }
  return session;
}

/** The priority that the caller may use: anybody may ask for any, but not all get it. */
function allowed(
  { sessions }: HandlerContext,
  { roles, maxPriority = sessions.options.maxPriority }: Principal,
  priority: number,
): number {
  return roles.has('admin') ? priority : Math.min(priority, maxPriority);
}

/** Ends a session that its call has opened and nobody has had; one from elsewhere can try again. */
function letGo(
  context: HandlerContext,
  session: Session,
  { resume }: Pick<OpenRequest, 'resume'>,
  end: SessionEnd,
): void {
  if (resume === undefined) session.abort(end);
  else context.sessions.discard(session, end);
}

/** The first notice of a stream. */
export function openedNotice(
  context: HandlerContext,
  session: Session,
  position: number,
): v1.Notice {
  const { model } = session;
  const acks = session.durable ? ackWish(context.sessions.options, model) : undefined;
  return {
    opened: {
      session_id: session.id,
      position,
      model: model.name,
      version: model.version,
      digest: model.digest,
      provider: model.provider ?? '',
      batch_class: wireBatchClass(model),
      ack_every: acks?.every ?? 0,
      ack_records: acks?.records ?? 0,
      ack_bytes: acks?.bytes ?? 0,
      node_id: context.identity.nodeId,
      incarnation: context.identity.incarnation,
      survival: wireSurvival(model.signature.sessions?.survival),
      next_command_sequence: session.commands?.next ?? 0,
    },
  };
}

/** Throws unless the model is the session's. */
export function checkModel(asked: string, model: ServedModel): void {
  if (asked === '' || asked === model.name) return;
  throw new CabstandError('TURN_CONFLICT', `the session is one of model ${model.name}`, {
    metadata: { field: 'model', value: asked, expected: model.name },
  });
}

/** Runs the first steps of a session; one that this call has opened does not outlive their failure. */
export function closingOnError<T>(
  context: HandlerContext,
  opened: boolean,
  session: Session,
  request: Pick<OpenRequest, 'resume'>,
  run: () => T,
): T {
  try {
    return run();
  } catch (thrown) {
    const error = publicError(thrown);
    if (opened) letGo(context, session, request, { reason: 'error', error });
    throw error;
  }
}
