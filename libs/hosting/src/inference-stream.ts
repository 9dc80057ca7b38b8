import { CabstandError, abortReason } from '@cabstand/core';
import type { ServerCall, ServerStreamHandler, v1 } from '@cabstand/rpc';
import type {
  Epoch,
  ResumeSpec,
  Retention,
  Session,
  TurnContent,
  TurnOutcome,
} from '@cabstand/sessions';
import { lookAhead } from './ahead';
import type { HandlerContext } from './context';
import { checkModel, closingOnError, openSession, openedNotice } from './opening';
import { NO_EPOCH, parseContent, parseEpoch, parseNewSessionId, parsePriority } from './parse';
import { continueSession, nextOf, parseResume } from './resuming';
import type { Continued } from './resuming';
import { StreamConsumer } from './stream-consumer';

type Request = v1.InferenceStreamRequest__Output;

interface Asked {
  readonly id: string | undefined;
  readonly epoch: Epoch;
  readonly retention: Retention;
  readonly priority: number;
  readonly turn: number;
  /** As it came; 0 is also what a plain client sends that knows nothing of positions. */
  readonly from: number;
  readonly content: TurnContent;
  readonly resume: ResumeSpec | undefined;
}

/** One turn as a stream of records. */
export function inferenceStream(
  context: HandlerContext,
): ServerStreamHandler<Request, v1.InferenceStreamResponse> {
  return async (request, call, out) => {
    const asked = await parse(request);
    await lookAhead(context, call, { ...asked, model: request.model });
    const consumer = new StreamConsumer(out);
    const { session, opened } = await sessionFor(context, asked, request, call, consumer);
    session.trace = call.trace;
    const outcome = closingOnError(context, opened, session, asked, () => {
      const started = start(context, session, asked);
      const from = firstPosition(session, asked, started);
      session.checkAttach(asked.epoch, from);
      out.push({ notice: openedNotice(context, session, from ?? session.position) });
      consumer.attached(session.attach(consumer, asked.epoch, from));
      context.sessions.greet(session);
      return started;
    });
    await follow(session, consumer, asked, outcome, call);
  };
}

async function parse(request: Request): Promise<Asked> {
  const id = parseNewSessionId(request.session_id);
  if (id === undefined && (request.durable || request.keep_session || request.resume))
    throw new CabstandError(
      'INVALID_ARGUMENT',
      'session_id: got nothing, expected an id: durable and kept sessions have one',
      { metadata: { field: 'session_id' } },
    );
  const own = { turn: request.turn, content: parseContent(request, false) };
  const resume = request.resume === null ? undefined : await parseResume(request.resume, own);
  // Where the input came with the rest of the replay it need not come twice.
  const { content } = resume?.turns.find(({ turn }) => turn === own.turn) ?? own;
  return {
    id,
    epoch: id === undefined ? NO_EPOCH : parseEpoch(request.epoch),
    retention:
      request.durable || resume !== undefined ? 'durable' : request.keep_session ? 'kept' : 'call',
    priority: parsePriority(request.priority),
    turn: request.turn,
    from: resume === undefined ? request.from_position : nextOf(resume),
    content,
    resume,
  };
}

async function sessionFor(
  context: HandlerContext,
  asked: Asked,
  request: Request,
  call: ServerCall,
  consumer: StreamConsumer,
): Promise<Continued> {
  const { id, resume } = asked;
  const opening = {
    ...asked,
    model: request.model,
    onQueued: (position: number) => consumer.notice({ kind: 'queued', position }),
  };
  if (id !== undefined && resume !== undefined)
    return await continueSession(context, call, { ...opening, id, resume }, request.ticket);
  const found = findSession(context, asked, request, call);
  if (found !== undefined) return { session: found, opened: false };
  return { session: await openSession(context, call, opening, request.ticket), opened: true };
}

/** The session that the call goes on with; undefined where it opens one. */
function findSession(
  context: HandlerContext,
  asked: Asked,
  request: Request,
  call: ServerCall,
): Session | undefined {
  const { id, turn } = asked;
  if (id !== undefined && (turn !== 0 || context.sessions.knows(id, call.principal.id))) {
    const session = context.sessions.find(id, call.principal.id);
    session.claim(asked.epoch);
    checkModel(request.model, session.model);
    return session;
  }
  if (turn === 0 && asked.from === 0) return undefined;
  if (turn === 0 && !(asked.from > 0))
    throw new CabstandError('POSITION_INVALID', `from_position: got ${asked.from}, expected 0`, {
      metadata: { field: 'from_position', value: String(asked.from) },
    });
  throw new CabstandError(
    'SESSION_UNKNOWN',
    'a session opens with turn 0 at position 0; this hoster has none to go on with',
  );
}

function start(context: HandlerContext, session: Session, asked: Asked): TurnOutcome {
  context.sessions.checkTurns();
  // Before the turn is taken: a refused position must leave nothing running without a reader.
  if (asked.from !== 0) session.checkAttach(asked.epoch, asked.from);
  return session.startTurn(asked.turn, asked.content);
}

function firstPosition(session: Session, asked: Asked, outcome: TurnOutcome): number | undefined {
  if (asked.from !== 0 || session.durable) return asked.from;
  return outcome === 'started' ? undefined : session.firstPositionOf(asked.turn);
}

/** Keeps the call open until its turn has ended, and lets go of the session whatever happens. */
async function follow(
  session: Session,
  consumer: StreamConsumer,
  { turn, retention }: Asked,
  outcome: TurnOutcome,
  call: ServerCall,
): Promise<void> {
  await consumer.during(call.signal, async () => {
    // A turn that was over may have nothing left to send, not even its end.
    if (outcome !== 'over' || !session.delivered) await consumer.turnEnded(turn);
    if (call.signal.aborted) throw abortReason(call.signal);
    const { gone } = consumer;
    if (gone?.kind === 'replaced') throw gone.error;
    if (gone?.kind === 'ended' && !consumer.ended(turn))
      throw gone.end.error ?? new CabstandError('CANCELLED', 'the session was closed');
    // A durable session stays that whatever its further turns say.
    if (!session.durable && retention === 'call') session.close({ reason: 'completed' });
  });
}
