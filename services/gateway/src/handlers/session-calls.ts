import { randomBytes } from 'node:crypto';
import { CabstandError, abortable, systemClock } from '@cabstand/core';
import type { Session } from '@cabstand/client';
import { STOP, UNNUMBERED } from '@cabstand/client/protocol';
import { HosterService, wireError } from '@cabstand/rpc';
import type { ServerCall, UnaryHandler, v1 } from '@cabstand/rpc';
import type { Held } from '../held-sessions';
import type { HandlerContext } from './context';
import { parseExistingId } from './parse';
import { askWhoHas } from './who-has';
import type { Having } from './who-has';
import { json } from './wire';

const ASK_MS = 5000;
/** For what comes of a command, where the caller gives no deadline: the code of a module may take its time. */
const COMMAND_MS = 60_000;
const RETRY_MS = 500;
/** What a stop fails with where a cancellation has nothing to do, or its end is still to be read. */
const AS_CANCELLED: ReadonlySet<string> = new Set([
  'COMMAND_REJECTED',
  'DEADLINE_EXCEEDED',
  'SESSION_ENDED',
]);

/**
 * Cancels a turn or gives a module a command. Acks are not needed: what a caller reads from its stream is
 * acknowledged for it.
 */
export function sessionUpdate(
  context: HandlerContext,
): UnaryHandler<v1.SessionUpdateRequest__Output, v1.SessionUpdateResponse> {
  return async (request, call) => {
    const id = parseExistingId(request.session_id);
    const held = await context.sessions.current(call.principal, id);
    const numbered = isNumbered(request);
    if (held === undefined || (takesNumber(request) && numbersElse(held, numbered)))
      return await tellBeside(context, id, request, call);
    const { session } = held;
    let result: v1.CommandResult | null = null;
    switch (request.update) {
      case 'ack':
        break;
      case 'cancel_turn':
        await session.cancelTurn();
        break;
      case 'command':
        if (request.command) {
          const { command } = request;
          const give = (signal?: AbortSignal) => commandResult(session, command, numbered, signal);
          result = numbered
            ? await held.commands.once(command.sequence, give, call.signal)
            : await give(call.signal);
        }
        break;
      case 'handover':
        throw notHere('handover');
      case undefined:
        throw nothingToDo();
    }
    return { position: session.position, result };
  };
}

/** A command that would take the next number of the session. */
function takesNumber({ command }: v1.SessionUpdateRequest__Output): boolean {
  return command !== null && command !== undefined && command.name !== STOP;
}

/** A command of the session's consumer, who counts them. Without an epoch, 0 is what comes where nothing was given. */
function isNumbered(request: v1.SessionUpdateRequest__Output): boolean {
  return takesNumber(request) && request.epoch !== null && (request.command?.sequence ?? -1) >= 0;
}

/** Whether the commands of a session have numbers that are not this one's: on a stream, nobody beside that has one. */
function numbersElse({ numbersCommands, commands }: Held, numbered: boolean): boolean {
  return numbersCommands || (commands.used && !numbered);
}

/** Of a session that this gateway does not have, or whose caller numbers the commands itself. */
async function tellBeside(
  context: HandlerContext,
  id: string,
  request: v1.SessionUpdateRequest__Output,
  call: ServerCall,
): Promise<v1.SessionUpdateResponse> {
  const { client, status, options } = await hosterOf(context, id, call);
  const { position } = status;
  const beside = besideConsumer(request);
  if (beside === undefined) return { position };
  const timeoutMs = request.update === 'command' ? timeoutOf(call) : ASK_MS;
  try {
    const told = { ...options, timeoutMs };
    return await client.unary(HosterService.rpc_session_update, beside, told);
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    // A turn that is over is left alone; one that is told ends when its records are read.
    if (request.update === 'cancel_turn' && AS_CANCELLED.has(error.reason)) return { position };
    throw error;
  }
}

/** As long as the caller waits. */
function timeoutOf({ deadline }: ServerCall): number {
  return deadline === undefined ? COMMAND_MS : Math.max(1, deadline - systemClock.now());
}

/**
 * The same for a session that somebody else uses, through another gateway: told by the way, it does not fence that
 * one off. Undefined where there is nothing to tell.
 */
function besideConsumer(
  request: v1.SessionUpdateRequest__Output,
): v1.SessionUpdateRequest | undefined {
  const { session_id, command, cancel_turn: cancel } = request;
  switch (request.update) {
    case 'ack':
      return undefined;
    case 'command':
      return { session_id, command: { ...command, sequence: UNNUMBERED } };
    case 'cancel_turn':
      return { session_id, command: { name: STOP, sequence: UNNUMBERED, turn: cancel?.turn ?? 0 } };
    case 'handover':
      throw notHere('handover');
    default:
      throw nothingToDo();
  }
}

const nothingToDo = (): CabstandError =>
  new CabstandError('INVALID_ARGUMENT', 'update: got nothing, expected an update', {
    metadata: { field: 'update' },
  });

export function sessionStatus(
  context: HandlerContext,
): UnaryHandler<v1.SessionStatusRequest__Output, v1.SessionStatusResponse> {
  return async (request, call) => {
    const id = parseExistingId(request.session_id);
    const { status } = await hosterOf(context, id, call, request.ticket);
    return status;
  };
}

/** The ticket is the hoster's that has the session: others take it as well, and so does each gateway. */
export function shareSession(
  context: HandlerContext,
): UnaryHandler<v1.ShareSessionRequest__Output, v1.ShareSessionResponse> {
  return async (request, call) => {
    const id = parseExistingId(request.session_id);
    const { client, options } = await hosterOf(context, id, call);
    return await client.unary(HosterService.rpc_share_session, request, options);
  };
}

/** Ends a session, wherever it is. */
export function closeSession(
  context: HandlerContext,
): UnaryHandler<v1.CloseSessionRequest__Output, v1.CloseSessionResponse> {
  return async (request, call) => {
    const id = parseExistingId(request.session_id);
    const held = await context.sessions.current(call.principal, id);
    if (held !== undefined) {
      const reason = held.state.kind === 'busy' ? 'END_REASON_STOPPED' : 'END_REASON_COMPLETED';
      await context.sessions.end(held);
      return { reason };
    }
    const { client, status, options } = await hosterOf(context, id, call);
    const epoch = { counter: status.epoch + 1, owner: randomBytes(16) };
    return await client.unary(HosterService.rpc_close_session, { session_id: id, epoch }, options);
  };
}

/** Models are the hosters' own business, each one's. */
export function atHostersOnly(method: string) {
  return (): never => {
    throw notHere(method);
  };
}

export function notHere(what: string): CabstandError {
  return new CabstandError(
    'UNIMPLEMENTED',
    `${what}: a gateway does not do this: ask the hoster that it is for`,
  );
}

/** What comes of a command; of those that fail as the module says, too. */
async function commandResult(
  session: Session,
  { name, arguments: text, sequence: given }: v1.Command__Output,
  numbered: boolean,
  signal: AbortSignal | undefined,
): Promise<v1.CommandResult> {
  const sequence = numbered || name === STOP ? given : UNNUMBERED;
  if (name !== STOP && session.commandRoom() !== undefined) throw tooMany();
  try {
    const value = await abortable(session.commandText(name, text), signal);
    return { sequence, value: json(value) };
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    if (signal?.aborted === true || !error.reason.startsWith('COMMAND_')) throw error;
    return { sequence, error: wireError(error) };
  }
}

function tooMany(): CabstandError {
  return new CabstandError(
    'RATE_LIMITED',
    'commands of the session wait for their results: read its records, and send the command again',
    { metadata: { limited_by: 'commands_waiting', field: 'command' }, retryAfterMs: RETRY_MS },
  );
}

/**
 * The hoster that has a session of this caller, or one that the ticket is for: of several the one where it went
 * on last. Throws SESSION_UNKNOWN, and what stood in the way of asking.
 */
async function hosterOf(
  context: HandlerContext,
  id: string,
  call: ServerCall,
  ticket = '',
): Promise<Having> {
  const { signal } = call;
  const asking = { signal, timeoutMs: ASK_MS, strict: true, ticket };
  const { having, errors } = await askWhoHas(context, id, call, asking);
  const found = having.find(({ status }) => status.state !== 'SESSION_STATE_ENDED') ?? having[0];
  if (found !== undefined) return found;
  throw (
    errors.find(({ reason }) => reason !== 'SESSION_UNKNOWN') ??
    new CabstandError('SESSION_UNKNOWN', `no hoster has session ${id}`, {
      metadata: { session_id: id },
    })
  );
}
