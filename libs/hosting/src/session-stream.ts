import { CabstandError, abortReason } from '@cabstand/core';
import { STOP_COMMAND } from '@cabstand/engine';
import { ReadAhead, parseTrace, unexpectedMessage, waitingBytes } from '@cabstand/rpc';
import type { BidiHandler, ServerCall, StreamWriter, TraceContext, v1 } from '@cabstand/rpc';
import { checkAhead, checkPartAhead, commandUnknown, sameEpoch } from '@cabstand/sessions';
import type { Commands, Epoch, OpenRequest, Session } from '@cabstand/sessions';
import { tensorsFromWire } from '@cabstand/tensor';
import { lookAhead } from './ahead';
import { Bundles } from './bundles';
import type { HandlerContext } from './context';
import { checkModel, closingOnError, openSession, openedNotice } from './opening';
import {
  NO_EPOCH,
  parseContent,
  parseEpoch,
  parseNewSessionId,
  parsePriority,
  parseSessionId,
} from './parse';
import { continueSession, nextOf, parseResume } from './resuming';
import { StreamConsumer } from './stream-consumer';
import { watchSession } from './viewing';
import { wireClosed } from './wire';

type Request = v1.SessionStreamRequest__Output;
type Writer = StreamWriter<v1.SessionStreamResponse>;

/** A whole session on one stream: its first message opens or attaches. */
export function sessionStream(
  context: HandlerContext,
): BidiHandler<Request, v1.SessionStreamResponse> {
  return async (requests, call, single) => {
    const iterator = requests[Symbol.asyncIterator]();
    const first = await iterator.next();
    if (first.done === true) return;
    const { open: opening, attach: asked } = first.value;
    if (asked?.role === 'ATTACH_ROLE_VIEWER') {
      await watchSession(context, asked, call, iterator, single);
      return;
    }
    const bundles = (opening ?? asked)?.bundles === true ? new Bundles(single) : undefined;
    const out = bundles ?? single;
    const consumer = new StreamConsumer(out);
    const session = await begin(context, first.value, call, consumer, out);
    session.trace = call.trace;
    await consumer.during(call.signal, async () => {
      try {
        const reading = read(context, session, consumer, iterator, call.trace);
        await Promise.race([reading, consumer.over()]);
        if (call.signal.aborted) throw abortReason(call.signal);
        finish(session, consumer, out);
      } catch (error) {
        // One that was replaced has nothing to say any more.
        const replaced = consumer.gone?.kind === 'replaced';
        if (session.retention === 'call' && !call.signal.aborted && !replaced)
          session.abort({ reason: 'error', error: CabstandError.from(error) });
        throw error;
      } finally {
        bundles?.flush();
      }
    });
  };
}

async function begin(
  context: HandlerContext,
  first: Request,
  call: ServerCall,
  consumer: StreamConsumer,
  out: Writer,
): Promise<Session> {
  if (first.message === 'open' && first.open)
    return await open(context, first.open, call, consumer, out);
  if (first.message === 'attach' && first.attach)
    return attach(context, first.attach, call, consumer, out);
  throw new CabstandError(
    'INVALID_ARGUMENT',
    `the first message must be open or attach, not ${first.message ?? 'empty'}`,
    { metadata: { field: 'message' } },
  );
}

async function open(
  context: HandlerContext,
  request: v1.Open__Output,
  call: ServerCall,
  consumer: StreamConsumer,
  out: Writer,
): Promise<Session> {
  const id = parseNewSessionId(request.session_id);
  if (id === undefined && (request.durable || request.resume !== null))
    throw new CabstandError(
      'INVALID_ARGUMENT',
      'open.session_id: got nothing, expected an id: durable sessions have one',
      { metadata: { field: 'open.session_id' } },
    );
  const epoch = id === undefined ? NO_EPOCH : parseEpoch(request.epoch);
  const resume = request.resume === null ? undefined : await parseResume(request.resume);
  const opening = {
    id,
    epoch,
    model: request.model,
    retention: request.durable || resume !== undefined ? ('durable' as const) : ('call' as const),
    priority: parsePriority(request.priority),
    onQueued: (position: number) => consumer.notice({ kind: 'queued', position }),
  };
  await lookAhead(context, call, { id, model: request.model, resume });
  const before = resume === undefined ? openedBefore(context, call, opening) : undefined;
  const { session, opened } =
    before !== undefined
      ? { session: before, opened: false }
      : id !== undefined && resume !== undefined
        ? await continueSession(context, call, { ...opening, id, resume }, request.ticket)
        : { session: await openSession(context, call, opening, request.ticket), opened: true };
  const from = before !== undefined ? 0 : resume && nextOf(resume);
  closingOnError(context, opened, session, { resume }, () =>
    join(context, session, epoch, from, consumer, out),
  );
  return session;
}

/**
 * The session where this very opening came before: its consumer did not hear of it. Undefined where it
 * is for `openSession` to decide.
 */
function openedBefore(
  context: HandlerContext,
  call: ServerCall,
  { id, epoch, model }: Pick<OpenRequest, 'id' | 'epoch' | 'model'>,
): Session | undefined {
  if (id === undefined || !context.sessions.knows(id, call.principal.id)) return undefined;
  const session = context.sessions.find(id, call.principal.id);
  if (!session.durable || !sameEpoch(session.epoch, epoch)) return undefined;
  checkModel(model, session.model);
  return session;
}

/** As `from_position`: whatever is the oldest record that is kept. */
const OLDEST = -1;

function attach(
  context: HandlerContext,
  request: v1.Attach__Output,
  call: ServerCall,
  consumer: StreamConsumer,
  out: Writer,
): Session {
  const session = context.sessions.find(parseSessionId(request.session_id), call.principal.id);
  const epoch = parseEpoch(request.epoch);
  const from = request.from_position === OLDEST ? undefined : request.from_position;
  session.checkAttach(epoch, from, request.served_epoch);
  join(context, session, epoch, from, consumer, out);
  return session;
}

function join(
  context: HandlerContext,
  session: Session,
  epoch: Epoch,
  from: number | undefined,
  consumer: StreamConsumer,
  out: Writer,
): void {
  out.push({ notice: openedNotice(context, session, from ?? session.base) });
  consumer.attached(session.attach(consumer, epoch, from));
  context.sessions.greet(session);
  const { accepted } = session;
  if (accepted !== undefined) session.notify(accepted);
}

/** Reads what the consumer sends until it closes the session or its side of the stream. */
async function read(
  context: HandlerContext,
  session: Session,
  consumer: StreamConsumer,
  stream: AsyncIterator<Request>,
  trace: TraceContext | undefined,
): Promise<void> {
  const requests = new ReadAhead(stream, {
    overtake: (request) => !consumer.isGone() && overtake(session, request),
    bytesOf: waitingBytes,
  });
  for (;;) {
    const next = await requests.next();
    if (consumer.gone !== undefined) return;
    if (next.done === true) {
      // Whoever has a durable session may attach again and send the rest.
      if (!session.durable || !session.awaitsInput) await lastWords(session, consumer);
      return;
    }
    const request = next.value;
    if (request.message === 'close') {
      // A module may go on for ever: it is told to come to its end.
      if (session.commands !== undefined && session.turnRuns) {
        session.close({ reason: 'stopped' });
        await Promise.race([consumer.over(), readAfterClose(context, session, consumer, requests)]);
        return;
      }
      await Promise.race([
        lastWords(session, consumer),
        readAfterClose(context, session, consumer, requests),
      ]);
      session.close({ reason: 'completed' });
      await consumer.over();
      return;
    }
    // What comes of it is told by the stream: the last records, the checkpoint, the end.
    if (request.message === 'handover') {
      await session.handOver();
      await consumer.over();
      return;
    }
    // Parts of live input and commands are read no faster than the engine uses them up; a stop needs no room.
    if (overtake(session, request)) continue;
    if (request.message === 'input' || request.message === 'command') {
      const room = session.inputRoom(request.message);
      if (room !== undefined) await requests.until(room);
      if (consumer.isGone()) return;
    }
    const applied = apply(context, session, request, consumer, trace);
    if (applied !== undefined) await applied;
  }
}

/** Acknowledges, and ends the turn that runs, where that is asked for, whatever that was sent before waits for room. */
function overtake(session: Session, request: Request): boolean {
  const { message, command, ack, cancel_turn: cancel } = request;
  if (message === 'ack' && ack) {
    session.acknowledge(ack.position);
    return true;
  }
  if (message === 'command' && command?.name === STOP_COMMAND.name) {
    onStream(session, command);
    return true;
  }
  if (message !== 'cancel_turn' || cancel?.turn !== session.turn) return false;
  session.cancelTurn(cancel.turn);
  return true;
}

/** What a turn that is finished may need after `close`. Does not resolve; rejects with a wrong message. */
async function readAfterClose(
  context: HandlerContext,
  session: Session,
  consumer: StreamConsumer,
  requests: AsyncIterator<Request>,
): Promise<never> {
  for (;;) {
    const next = await requests.next();
    if (next.done === true) return await new Promise<never>(() => undefined);
    const { message } = next.value;
    if (message !== 'ack' && message !== 'cancel_turn')
      throw new CabstandError('INVALID_ARGUMENT', `${message ?? 'nothing'} came after close`, {
        metadata: { field: 'message', expected: 'ack or cancel_turn' },
      });
    if (!consumer.isGone()) void apply(context, session, next.value, consumer);
  }
}

/** Nothing more is asked: what runs is finished with the input that came. */
async function lastWords(session: Session, consumer: StreamConsumer): Promise<void> {
  session.endInput();
  if (session.turnRuns || !session.delivered) await consumer.turnEnded(session.turn);
}

/** Undefined where it is done; a promise where large content is looked at first. */
function apply(
  context: HandlerContext,
  session: Session,
  request: Request,
  consumer: StreamConsumer,
  trace?: TraceContext,
): Promise<void> | undefined {
  switch (request.message) {
    case 'turn':
      return request.turn ? startTurn(context, session, request.turn, consumer, trace) : undefined;
    case 'input':
      return request.input ? liveInput(session, request.input, consumer) : undefined;
    case 'command':
      if (request.command) onStream(session, request.command);
      return undefined;
    case 'ack':
      if (request.ack) session.acknowledge(request.ack.position);
      return undefined;
    case 'cancel_turn':
      if (request.cancel_turn) session.cancelTurn(request.cancel_turn.turn);
      return undefined;
    case 'open':
    case 'attach':
      throw unexpectedMessage(request.message);
    default:
      throw unexpectedMessage(undefined);
  }
}

function startTurn(
  context: HandlerContext,
  session: Session,
  turn: v1.Turn__Output,
  consumer: StreamConsumer,
  trace: TraceContext | undefined,
): Promise<void> | undefined {
  context.sessions.checkTurns();
  const input = turn.input ?? { prompt: '', inputs: [], parameters: '' };
  const content = parseContent(input, turn.live);
  const { signature } = session.model;
  const ahead = checkAhead([{ content, parts: [] }], { signature, digests: session.named });
  return after(ahead, consumer, () => {
    // One that was sent before goes on as what it is.
    if (turn.turn > session.turn)
      session.trace = parseTrace(turn.traceparent, turn.tracestate) ?? trace;
    session.startTurn(turn.turn, content);
  });
}

function liveInput(
  session: Session,
  input: v1.LiveInput__Output,
  consumer: StreamConsumer,
): Promise<void> | undefined {
  const tensors = tensorsFromWire(input.inputs);
  const ahead = checkPartAhead(tensors, session.model.signature);
  return after(ahead, consumer, () => session.input(input.turn, input.part, tensors, input.last));
}

/** Goes on at once, or when large content was looked at, if somebody still listens then. */
function after(
  ahead: Promise<void> | undefined,
  consumer: StreamConsumer,
  goOn: () => void,
): Promise<void> | undefined {
  if (ahead !== undefined) return ahead.then(() => (consumer.isGone() ? undefined : goOn()));
  goOn();
  return undefined;
}

/** What comes of it is told by records. Throws for what no record can answer. */
function onStream(session: Session, command: v1.Command__Output): void {
  if (command.name !== STOP_COMMAND.name) {
    takeCommand(session, command);
    return;
  }
  session.stopCommand.check(command.arguments);
  try {
    session.stopCommand.ask(command.turn);
  } catch {
    // One that comes too late is told by how its turn ended.
  }
}

/** Throws what `Commands.take` throws; COMMAND_UNKNOWN for models of other kinds, which have none. */
export function takeCommand(session: Session, command: v1.Command__Output): Commands {
  const { sequence: number, name } = command;
  const commands = commandsOf(session, name);
  commands.take({ number, name, arguments: command.arguments || '{}' });
  return commands;
}

/** Throws COMMAND_UNKNOWN for models of other kinds. */
export function commandsOf({ commands, model }: Session, name: string): Commands {
  if (commands === undefined) throw commandUnknown(model.name, name);
  return commands;
}

/** The last message of the stream, and its status. */
function finish(session: Session, consumer: StreamConsumer, out: Writer): void {
  const { gone } = consumer;
  if (gone?.kind === 'replaced') throw gone.error;
  // The consumer has half-closed: a session that lives by its call ends with it.
  if (gone === undefined && session.retention !== 'call') return;
  if (gone === undefined) session.close({ reason: 'completed' });
  const end = session.end ?? { reason: 'completed' };
  out.push({ closed: wireClosed(end) });
  if (end.error !== undefined) throw end.error;
}
