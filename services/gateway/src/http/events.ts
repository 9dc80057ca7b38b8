/** What a session tells, as JSON: one object for each record or notice, the same over both ways. */
import type { CabstandError } from '@cabstand/core';
import type { Checkpoint, OpenedEvent, RecordEvent } from '@cabstand/client/protocol';
import type { NoticeListeners } from '../handlers/notices';
import { tensorsJson } from './tensors';
import type { Elements } from './tensors';

export interface HttpEvent {
  readonly type: string;
  /** Of a record; notices have none. */
  readonly position?: number;
  readonly [member: string]: unknown;
}

/** @param model of a session whose caller may bring the checkpoint of an end with its next turn */
export function recordEvent(record: RecordEvent, elements: Elements, model?: string): HttpEvent {
  const { position, turn } = record;
  switch (record.body) {
    case 'chunk': {
      const { text, tensors } = record;
      return { type: 'chunk', position, turn, text, tensors: tensorsJson(tensors, elements) };
    }
    case 'command': {
      const { sequence, name } = record;
      return {
        type: 'command',
        position,
        turn,
        sequence,
        name,
        arguments: parsed(record.arguments),
      };
    }
    case 'input':
      return { type: 'input', position, turn, part: record.sequence };
    case 'message':
      return { type: 'message', position, turn, name: record.name, value: record.value };
    case 'result': {
      const { sequence, value, error } = record;
      const outcome = error === undefined ? { value } : { error: errorJson(error) };
      return { type: 'result', position, turn, sequence, ...outcome };
    }
    case 'recorded':
      return { type: 'recorded', position, turn, name: record.name, value: parsed(record.json) };
    case 'unknown':
      // Of a hoster newer than this gateway: its position is told, so that none is missing.
      return { type: 'other', position, turn };
    case 'end': {
      const { reason, steps, note = '', error } = record;
      return {
        ...{ type: 'end', position, turn, reason, steps, note },
        ...(record.goesOn === true && { goes_on: true }),
        ...(error === undefined ? {} : { error: errorJson(error) }),
        ...(model === undefined || !record.checkpoint
          ? {}
          : { checkpoint: checkpointJson(model, record.checkpoint) }),
      };
    }
  }
}

function checkpointJson(model: string, { position, sealed }: Checkpoint): object {
  return { model, position, base64: Buffer.from(sealed).toString('base64') };
}

export function openedEvent({
  sessionId,
  position,
  model,
  version,
  digest,
}: OpenedEvent): HttpEvent {
  // Not the position of a record: that of the next one.
  return { type: 'opened', session_id: sessionId, next_position: position, model, version, digest };
}

/** What a session tells besides its records, as events. */
export function noticesAsEvents(push: (event: HttpEvent) => void): NoticeListeners {
  return {
    opened: (event) => push(openedEvent(event)),
    queued: ({ position: behind }) => push({ type: 'queued', behind }),
    notice: ({ name, value, turn }) => push({ type: 'notice', turn, name, value }),
  };
}

export function errorEvent(error: CabstandError): HttpEvent {
  return { type: 'error', ...errorJson(error) };
}

/** An error for callers: reason, class and metadata are for programs, the message is for people. */
export function errorJson(error: CabstandError): Readonly<Record<string, unknown>> {
  const { reason, class: kind, message, metadata, retryAfterMs } = error;
  const after = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs };
  return { reason, class: kind, message, metadata, ...after };
}

/** As server-sent event: its id is the position, so that a reader can say where it was. */
export function eventText(event: HttpEvent): string {
  const id = event.position === undefined ? '' : `id: ${event.position}\n`;
  return `${id}event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Modules tell JSON; what is none is given as the text that it is. */
function parsed(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
