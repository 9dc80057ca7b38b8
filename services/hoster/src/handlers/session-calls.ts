/** The unary calls about one session. */
import { CabstandError } from '@cabstand/core';
import type { UnaryHandler, v1 } from '@cabstand/rpc';
import type { Checkpoint } from '../sessions/types';
import type { HandlerContext } from './context';
import { parseEpochFor, parseSessionId } from './parse';
import { commandUnknown } from './session-stream';
import { wireEndReason, wireError, wireState } from './wire';

export function sessionUpdate(
  context: HandlerContext,
): UnaryHandler<v1.SessionUpdateRequest__Output, v1.SessionUpdateResponse> {
  return async (request, call) => {
    const session = context.sessions.find(parseSessionId(request.session_id), call.principal.id);
    session.claim(parseEpochFor(session.named, request.epoch));
    let checkpoint: Checkpoint | undefined;
    switch (request.update) {
      case 'ack':
        if (request.ack) session.acknowledge(request.ack.position);
        break;
      case 'command':
        throw commandUnknown(session, request.command?.name ?? '');
      case 'cancel_turn':
        if (request.cancel_turn) session.cancelTurn(request.cancel_turn.turn);
        break;
      case 'handover':
        checkpoint = await session.handOver();
        break;
      case undefined:
        throw new CabstandError('INVALID_ARGUMENT', 'update: got nothing, expected an update', {
          metadata: { field: 'update' },
        });
    }
    return { position: session.position, checkpoint: checkpoint ?? null };
  };
}

export function sessionStatus(
  context: HandlerContext,
): UnaryHandler<v1.SessionStatusRequest__Output, v1.SessionStatusResponse> {
  return (request, call) => {
    const id = parseSessionId(request.session_id);
    const status = context.sessions.status(id, call.principal.id);
    return {
      state: wireState(status.state),
      position: status.position,
      turn: status.turn,
      acknowledged_position: status.acknowledged,
      epoch: status.epoch,
      model: status.model,
      end_reason:
        status.end === undefined ? 'END_REASON_UNSPECIFIED' : wireEndReason(status.end.reason),
      error: wireError(status.end?.error),
    };
  };
}

/** Closing what has ended already is no error: the first answer may have been lost. */
export function closeSession(
  context: HandlerContext,
): UnaryHandler<v1.CloseSessionRequest__Output, v1.CloseSessionResponse> {
  return (request, call) => {
    const id = parseSessionId(request.session_id);
    const before = context.sessions.status(id, call.principal.id);
    if (before.state !== 'ended') {
      const session = context.sessions.find(id, call.principal.id);
      session.claim(parseEpochFor(session.named, request.epoch));
      session.close({ reason: session.turnRuns ? 'stopped' : 'completed' });
    }
    const { end } = context.sessions.status(id, call.principal.id);
    return { reason: wireEndReason(end?.reason ?? 'completed') };
  };
}
