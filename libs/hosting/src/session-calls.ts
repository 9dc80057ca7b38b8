/** The unary calls about one session. */
import { CabstandError, abortable } from '@cabstand/core';
import { STOP_COMMAND } from '@cabstand/engine';
import { wireEndReason, wireError } from '@cabstand/rpc';
import type { UnaryHandler, v1 } from '@cabstand/rpc';
import { UNNUMBERED } from '@cabstand/sessions';
import type { Checkpoint, Outcome, Session } from '@cabstand/sessions';
import type { HandlerContext } from './context';
import { parseEpochFor, parseSessionId } from './parse';
import { commandsOf, takeCommand } from './session-stream';
import { wireState } from './wire';

export function sessionUpdate(
  context: HandlerContext,
): UnaryHandler<v1.SessionUpdateRequest__Output, v1.SessionUpdateResponse> {
  return async (request, call) => {
    const session = context.sessions.find(parseSessionId(request.session_id), call.principal.id);
    const beside = request.epoch === null && request.command?.sequence === UNNUMBERED;
    if (!beside) session.claim(parseEpochFor(session.named, request.epoch));
    let checkpoint: Checkpoint | undefined;
    let result: v1.CommandResult | undefined;
    switch (request.update) {
      case 'ack':
        if (request.ack) session.acknowledge(request.ack.position);
        break;
      case 'command':
        if (request.command) result = await commandResult(session, request.command, call.signal);
        break;
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
    return { position: session.position, checkpoint: checkpoint ?? null, result: result ?? null };
  };
}

/** Hands on a command and waits for what comes of it. One without a number is of somebody beside the consumer. */
async function commandResult(
  session: Session,
  command: v1.Command__Output,
  signal: AbortSignal,
): Promise<v1.CommandResult> {
  const { sequence } = command;
  const outcome = await outcomeOf(session, command, signal);
  const { value, error } = outcome ?? {};
  return error === undefined
    ? { sequence, ...(value !== undefined && { value }) }
    : { sequence, error: { ...error, metadata: { ...error.metadata } } };
}

async function outcomeOf(
  session: Session,
  command: v1.Command__Output,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  const { sequence, name, arguments: json, turn } = command;
  if (name === STOP_COMMAND.name) {
    session.stopCommand.check(json);
    return await session.stopCommand.outcome(turn, signal);
  }
  const outcome =
    sequence === UNNUMBERED
      ? commandsOf(session, name).tell(name, json || '{}')
      : takeCommand(session, command).outcome(sequence);
  return await abortable(outcome, signal);
}

export function sessionStatus(
  context: HandlerContext,
): UnaryHandler<v1.SessionStatusRequest__Output, v1.SessionStatusResponse> {
  return (request, call) => {
    const id = parseSessionId(request.session_id);
    const { sessions } = context;
    const { ticket } = request;
    const status =
      ticket === ''
        ? sessions.status(id, call.principal.id)
        : sessions.shares.status(id, ticket, call.principal.id);
    return {
      state: wireState(status.state),
      position: status.position,
      turn: status.turn,
      turn_runs: status.turnRuns,
      acknowledged_position: status.acknowledged,
      epoch: status.epoch,
      model: status.model,
      end_reason:
        status.end === undefined ? 'END_REASON_UNSPECIFIED' : wireEndReason(status.end.reason),
      error: wireError(status.end?.error),
    };
  };
}

export function shareSession(
  context: HandlerContext,
): UnaryHandler<v1.ShareSessionRequest__Output, v1.ShareSessionResponse> {
  return ({ session_id, ttl_ms, principal }, call) => {
    const id = parseSessionId(session_id);
    const { shares } = context.sessions;
    const { ticket, expiresAtMs } = shares.make(id, call.principal.id, ttl_ms, principal);
    return { ticket, expires_at_ms: expiresAtMs };
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
      const reason = session.turnRuns ? 'stopped' : 'completed';
      session.close({ reason });
      // The code of a module is told, and may take its time.
      return { reason: wireEndReason(session.end?.reason ?? reason) };
    }
    return { reason: wireEndReason(before.end?.reason ?? 'completed') };
  };
}
