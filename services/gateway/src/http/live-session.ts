/** A live session over a WebSocket: its one turn takes input while its records go out, and ends with the connection. */
import { CabstandError, invalid } from '@cabstand/core';
import type { LiveTurn } from '@cabstand/client';
import type { RecordEvent } from '@cabstand/client/protocol';
import type { ServerCall } from '@cabstand/rpc';
import type { z } from 'zod';
import { parseJson } from '@cabstand/service';
import { checkOpen } from '../handlers/context';
import type { HandlerContext } from '../handlers/context';
import { passNotices } from '../handlers/notices';
import { parametersText, parsePriority } from '../handlers/parse';
import type { Held } from '../held-sessions';
import { errorJson, noticesAsEvents, recordEvent } from './events';
import type { LiveMessage, LiveSocket } from './live-socket';
import { liveSchema, openSchema, parseAs } from './parse';
import { rawTensor, tensorsOf } from './tensors';

export type LiveOpen = z.output<typeof openSchema>;

/** The first message. Throws INVALID_ARGUMENT. */
export function parseOpen(message: LiveMessage): LiveOpen {
  if (message.kind === 'binary')
    throw invalid('INVALID_ARGUMENT', 'first message', 'bytes', 'JSON of type open');
  return parseAs(openSchema, parseJson(Buffer.from(message.text), 'message'), 'message');
}

/** Serves the session until its turn is over. Throws what it failed with. */
export async function serveLive(
  context: HandlerContext,
  open: LiveOpen,
  socket: LiveSocket,
  { principal, signal, trace }: ServerCall,
): Promise<void> {
  checkOpen(context);
  const { model, session_id: id } = open;
  const priority = parsePriority(open.priority, principal);
  const parameters = parametersText(open.parameters);
  const held = await context.sessions.openNew(principal, { id, model, priority, epoch: 0 });
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  try {
    using _notices = passNotices(
      held.session,
      noticesAsEvents((event) => socket.push(event)),
    );
    const input = { prompt: open.prompt, tensors: [], parameters };
    const live = held.session.liveRecords(input, { signal: either, trace });
    const heeding = heed(open, held, live, socket, either);
    // What is wrong with a message ends the turn; that the turn has ended, ends the heeding.
    heeding.catch((error: unknown) => over.abort(error));
    await pass(open, live, socket, either);
  } finally {
    over.abort(new CabstandError('CANCELLED', 'the turn is over'));
    await context.sessions.end(held);
  }
}

async function pass(
  { elements }: LiveOpen,
  live: LiveTurn<RecordEvent>,
  socket: LiveSocket,
  signal: AbortSignal,
): Promise<void> {
  let told = false;
  try {
    for await (const record of live) {
      told = record.body === 'end';
      await socket.send(recordEvent(record, elements), signal);
    }
  } catch (error) {
    if (!told) throw error;
  }
}

async function heed(
  open: LiveOpen,
  held: Held,
  live: LiveTurn<RecordEvent>,
  socket: LiveSocket,
  signal: AbortSignal,
): Promise<never> {
  for (;;) {
    const message = await socket.next(signal);
    if (message.kind === 'binary') {
      // Resolves where there is room: the caller is read no faster than its input is used up.
      await live.write([samples(open, message.data)]);
      continue;
    }
    const json = parseJson(Buffer.from(message.text), 'message');
    const parsed = parseAs(liveSchema, json, 'message');
    switch (parsed.type) {
      case 'input':
        await live.write(tensorsOf(parsed.tensors));
        break;
      case 'end_input':
        await live.end();
        break;
      case 'cancel_turn':
        await held.session.cancelTurn();
        break;
      case 'command': {
        const { name, id, arguments: given } = parsed;
        held.session.command(name, given).then(
          (result) => socket.tell({ type: 'answer', id, result }),
          (error: unknown) =>
            socket.tell({ type: 'answer', id, error: errorJson(CabstandError.from(error)) }),
        );
      }
    }
  }
}

function samples({ input }: LiveOpen, data: Buffer) {
  if (input === undefined)
    throw invalid(
      'INVALID_ARGUMENT',
      'binary message',
      `${data.length} bytes`,
      'input in the open message, which says what they are',
    );
  return rawTensor(input.name, input.dtype, input.shape, data);
}
