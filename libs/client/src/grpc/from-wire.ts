import { CabstandError, toReason } from '@cabstand/core';
import { fromDuration } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { fromWire } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { END_REASONS } from '../protocol/events';
import type {
  Checkpoint,
  EndReason,
  NoticeEvent,
  ProtocolEvent,
  RecordEvent,
} from '../protocol/events';
import type { SessionStatus } from '../protocol/types';
import { isSet } from '../is-set';

/** Reads what hosters send. A reply that breaks the contract is NODE_BAD_REPLY: theirs, not the caller's. */
export function eventFromWire(
  response: v1.InferenceStreamResponse__Output | v1.SessionStreamResponse__Output,
): ProtocolEvent | undefined {
  if (isSet(response.record)) return recordFromWire(response.record);
  if (isSet(response.notice)) return noticeFromWire(response.notice);
  if ('closed' in response && isSet(response.closed))
    return {
      type: 'closed',
      reason: endReason(response.closed.reason),
      error: errorFromWire(response.closed.error),
    };
  return undefined;
}

function recordFromWire(record: v1.Record__Output): RecordEvent {
  const base = {
    type: 'record',
    position: record.position,
    turn: record.turn,
    epoch: record.epoch,
  } as const;
  if (isSet(record.chunk))
    return {
      ...base,
      body: 'chunk',
      tensors: record.chunk.outputs.map(tensorFromWire),
      text: record.chunk.text,
    };
  if (isSet(record.end_of_turn)) {
    const { reason, error, steps, checkpoint, note } = record.end_of_turn;
    return {
      ...base,
      body: 'end',
      reason: endReason(reason),
      error: errorFromWire(error),
      steps,
      note,
      checkpoint: checkpointFromWire(checkpoint),
    };
  }
  if (isSet(record.applied))
    return {
      ...base,
      body: 'command',
      sequence: record.applied.sequence,
      name: record.applied.name,
      arguments: record.applied.arguments,
    };
  if (isSet(record.input)) return { ...base, body: 'input', sequence: record.input.sequence };
  throw new CabstandError('NODE_BAD_REPLY', `the record at position ${record.position} is empty`);
}

function noticeFromWire(notice: v1.Notice__Output): NoticeEvent | undefined {
  if (isSet(notice.accepted))
    return {
      type: 'accepted',
      turn: notice.accepted.turn,
      nextPart: notice.accepted.next_input_sequence,
      wanted: notice.accepted.wanted_input_sequence,
    };
  if (isSet(notice.progress))
    return { type: 'progress', done: notice.progress.done, total: notice.progress.total };
  if (isSet(notice.queued)) return { type: 'queued', position: notice.queued.position };
  if (isSet(notice.opened)) {
    const { opened } = notice;
    return {
      type: 'opened',
      sessionId: opened.session_id,
      position: opened.position,
      model: opened.model,
      version: opened.version,
      digest: opened.digest,
      provider: opened.provider,
      ackEvery: opened.ack_every,
      ackRecords: opened.ack_records,
      ackBytes: opened.ack_bytes,
      nodeId: opened.node_id,
      incarnation: opened.incarnation,
    };
  }
  if (isSet(notice.ack_wanted)) return { type: 'ackWanted', position: notice.ack_wanted.position };
  if (isSet(notice.draining))
    return { type: 'draining', deadlineMs: fromDuration(notice.draining.deadline) ?? 0 };
  const checkpoint = checkpointFromWire(notice.checkpoint?.checkpoint);
  return checkpoint === undefined ? undefined : { type: 'checkpoint', checkpoint };
}

function tensorFromWire(wire: v1.Tensor__Output): Tensor {
  try {
    return fromWire(wire);
  } catch (thrown) {
    const error = CabstandError.from(thrown);
    throw new CabstandError('NODE_BAD_REPLY', `the hoster sent a bad tensor: ${error.message}`, {
      metadata: error.metadata,
      cause: error,
    });
  }
}

function checkpointFromWire(
  wire: v1.Checkpoint__Output | null | undefined,
): Checkpoint | undefined {
  return !isSet(wire) ? undefined : { position: wire.position, sealed: wire.sealed };
}

function errorFromWire(wire: v1.ErrorDetail__Output | null | undefined): CabstandError | undefined {
  if (!isSet(wire) || wire.reason === '') return undefined;
  return new CabstandError(toReason(wire.reason), wire.message, { metadata: wire.metadata });
}

function endReason(wire: string): EndReason {
  const name = wire.replace('END_REASON_', '').toLowerCase();
  const known = END_REASONS.find((reason) => reason === name);
  if (known === undefined)
    throw new CabstandError('NODE_BAD_REPLY', `the hoster ended with an unknown reason: ${wire}`);
  return known;
}

const SESSION_STATES = ['waiting', 'streaming', 'orphaned', 'closing', 'ended'] as const;

export function statusFromWire(wire: v1.SessionStatusResponse__Output): SessionStatus {
  const name = wire.state.replace('SESSION_STATE_', '').toLowerCase();
  return {
    state: SESSION_STATES.find((state) => state === name) ?? 'unknown',
    position: wire.position,
    turn: wire.turn,
    acknowledgedPosition: wire.acknowledged_position,
    epoch: wire.epoch,
    model: wire.model,
  };
}
