import { CabstandError, abortReason, invalid } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { Session } from '@cabstand/client';
import type { Checkpoint, TurnInput } from '@cabstand/client/protocol';
import type { ServerCall, ServerStreamHandler, v1 } from '@cabstand/rpc';
import type { Asked, Held } from '../held-sessions';
import type { Brought } from '../rebuilt';
import { checkOpen } from './context';
import type { HandlerContext } from './context';
import { parseEpoch, parseFrom, parseInput, parsePriority, parseSessionId } from './parse';
import { writeNotices, serveTurn } from './serve-turn';

type Request = v1.InferenceStreamRequest__Output;

/** One turn of a caller, on whichever hosters it takes. */
interface AskedTurn extends Asked {
  readonly turn: number;
  readonly from: number;
  readonly input: TurnInput;
  /** The session before the turn, if its caller has that. */
  readonly checkpoint: Checkpoint | undefined;
  /**
   * What becomes of the session when the turn is over, or its caller has gone.
   * - `call`: it ends.
   * - `kept`: it waits here for the next turn; one that is left is stopped.
   * - `durable`: the same, but a turn that is left goes on at its hoster.
   */
  readonly retention: 'call' | 'kept' | 'durable';
}

/** One turn as a stream of records. */
export function inferenceStream(
  context: HandlerContext,
): ServerStreamHandler<Request, v1.InferenceStreamResponse> {
  return async (request, call, out) => {
    const asked = parse(request, call.principal);
    checkOpen(context);
    const held = await sessionFor(context, asked, call);
    const { session } = held;
    if (call.signal.aborted) {
      // Its caller went while it was looked for: no turn begins that nobody reads.
      context.sessions.keep(held);
      throw abortReason(call.signal);
    }
    using left = leaving(context, held, asked, call);
    using _notices = writeNotices(session, out);
    try {
      const { trace } = call;
      const options = left.signal === undefined ? { trace } : { trace, signal: left.signal };
      const { epoch, retention } = asked;
      const told = { epoch, checkpoints: retention === 'durable' };
      await serveTurn(session.records(asked.input, options), told, out);
    } finally {
      if (asked.retention === 'call') await context.sessions.end(held);
      else context.sessions.keep(held);
    }
  };
}

/** Cancels the turn when its caller goes, or lets a durable one go on without this gateway. */
function leaving(
  context: HandlerContext,
  held: Held,
  { retention }: AskedTurn,
  { signal }: ServerCall,
): Disposable & { readonly signal: AbortSignal | undefined } {
  if (retention !== 'durable') return { signal, [Symbol.dispose]: () => undefined };
  const onAbort = (): void => void context.sessions.letGo(held);
  signal.addEventListener('abort', onAbort, { once: true });
  return {
    signal: undefined,
    [Symbol.dispose]: () => signal.removeEventListener('abort', onAbort),
  };
}

function parse(request: Request, principal: Principal): AskedTurn {
  const id = parseSessionId(request.session_id);
  const { durable, keep_session: keep, turn, from_position: from } = request;
  if (id === undefined && (durable || keep))
    throw new CabstandError(
      'INVALID_ARGUMENT',
      'session_id: got nothing, expected an id: durable and kept sessions have one',
      { metadata: { field: 'session_id' } },
    );
  const checkpoint = parseResume(request);
  return {
    id,
    epoch: id === undefined ? 0 : parseEpoch(request.epoch),
    model: request.model,
    priority: parsePriority(request.priority, principal),
    turn,
    from: parseFrom(from, 'a position, or 0') || (checkpoint?.position ?? 0),
    checkpoint,
    input: parseInput(request),
    retention: durable ? 'durable' : keep ? 'kept' : 'call',
  };
}

/** The checkpoint that a caller brings. Throws INVALID_ARGUMENT for more than that. */
function parseResume({ resume, durable, model }: Request): Checkpoint | undefined {
  if (resume === null) return undefined;
  const { checkpoint, replay } = resume;
  if (!durable || model === '' || checkpoint === null || replay.length > 0)
    throw new CabstandError(
      'INVALID_ARGUMENT',
      'resume: a gateway takes a checkpoint with a turn of a durable session, its model and its input, and nothing else',
      { metadata: { field: 'resume' } },
    );
  return checkpoint;
}

/** A session that is to run the turn: a new one, or one that there is, where that has come to the turn. */
async function sessionFor(
  { sessions }: HandlerContext,
  asked: AskedTurn,
  { principal }: ServerCall,
): Promise<Held> {
  const { id, epoch, model, from } = asked;
  if (id === undefined || !(await isThere(sessions, principal, { ...asked, id }))) {
    checkOpening(asked);
    return sessions.open(principal, asked);
  }
  // 0 is also what a caller sends that knows nothing of positions.
  const wanted = {
    ...{ from: from === 0 ? undefined : from, fromField: 'from_position' },
    brought: broughtWith(asked),
  };
  const held = await sessions.take(principal, { id, epoch, model, ...wanted });
  try {
    checkTurn(asked, held.session.turn);
    checkFirst(asked, held.session);
  } catch (error) {
    sessions.keep(held);
    throw error;
  }
  return held;
}

/** What a durable turn is computed from, where its caller gives all of that. */
function broughtWith({
  retention,
  turn,
  input,
  checkpoint,
  model,
}: AskedTurn): Brought | undefined {
  const whole = turn === 0 || checkpoint !== undefined;
  return retention === 'durable' && model !== '' && whole ? { turn, input, checkpoint } : undefined;
}

/** Whether a session goes on: what opens one may be repeated, at this gateway or at another one. */
async function isThere(
  sessions: HandlerContext['sessions'],
  principal: Principal,
  asked: AskedTurn & { readonly id: string },
): Promise<boolean> {
  const { id, turn, from } = asked;
  if (turn !== 0 || from !== 0 || sessions.find(principal, id) !== undefined) return true;
  // Of two that ask at once the second may find what the first has opened.
  return (
    (await sessions.isAtHoster(principal, asked)) || sessions.find(principal, id) !== undefined
  );
}

/** A session opens with turn 0 at position 0. Throws INVALID_ARGUMENT, TURN_OUT_OF_ORDER, POSITION_INVALID. */
function checkOpening(asked: AskedTurn): void {
  if (asked.model === '')
    throw new CabstandError('INVALID_ARGUMENT', 'model: got nothing, expected a name', {
      metadata: { field: 'model', expected: 'a name' },
    });
  checkTurn(asked, 0);
  if (asked.from !== 0) throw invalid('POSITION_INVALID', 'from_position', asked.from, '0');
}

/** The rest of the first turn has no beginning any more where that was read. Throws POSITION_INVALID. */
function checkFirst({ turn, from }: AskedTurn, { position, produced }: Session): void {
  if (turn > 0 || from > 0 || position === 0) return;
  throw invalid('POSITION_INVALID', 'from_position', from, `${position} to ${produced}`);
}

/** Throws TURN_OUT_OF_ORDER. */
function checkTurn({ turn, id }: Pick<AskedTurn, 'turn' | 'id'>, expected: number): void {
  if (turn === expected) return;
  throw new CabstandError('TURN_OUT_OF_ORDER', `turn: got ${turn}, expected ${expected}`, {
    metadata: {
      field: 'turn',
      value: String(turn),
      expected: String(expected),
      ...(id === undefined ? {} : { session_id: id }),
    },
  });
}
