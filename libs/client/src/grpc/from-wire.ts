import { CabstandError, toReason } from '@cabstand/core';
import { fromDuration, generationFromWire } from '@cabstand/rpc';
import type { ChunkRecord, StreamEvent, v1 } from '@cabstand/rpc';
import { fromWire } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { END_REASONS } from '../protocol/events';
import type {
  Checkpoint,
  EndReason,
  NoticeEvent,
  ProtocolEvent,
  RecordEvent,
  Survival,
} from '../protocol/events';
import type { SessionStatus } from '../protocol/types';
import { isSet } from '../is-set';

/** Reads what hosters send. A reply that breaks the contract is NODE_BAD_REPLY: theirs, not the caller's. */
export function eventFromWire(response: StreamEvent): ProtocolEvent | undefined {
  if ('bytes' in response) return chunkFromWire(response);
  if (isSet(response.record)) return recordFromWire(response.record);
  if (isSet(response.notice)) return noticeFromWire(response.notice);
  if (isSet(response.closed))
    return {
      type: 'closed',
      reason: endReason(response.closed.reason),
      error: errorFromWire(response.closed.error),
    };
  return undefined;
}

/** Nearly all of them are this: written out, as spreads cost more than all else here. */
function chunkFromWire(record: ChunkRecord): RecordEvent {
  const { position, turn, epoch, point, chain, more, key, text, bytes: wire } = record;
  const tensors = record.outputs.map(tensorFromWire);
  const plain = {
    type: 'record',
    position,
    turn,
    epoch,
    body: 'chunk',
    tensors,
    text,
    wire,
  } as const;
  return point === 0 && chain === 0 && !more && !key
    ? plain
    : { ...plain, ...moduleFields(record) };
}

function recordFromWire(record: v1.Record__Output): RecordEvent {
  const base = {
    type: 'record',
    position: record.position,
    turn: record.turn,
    epoch: record.epoch,
    ...moduleFields(record),
  } as const;
  if (isSet(record.chunk))
    return {
      ...base,
      body: 'chunk',
      tensors: record.chunk.outputs.map(tensorFromWire),
      text: record.chunk.text,
    };
  if (isSet(record.end_of_turn)) {
    const { reason, error, steps, checkpoint, note, generation, goes_on } = record.end_of_turn;
    return {
      ...base,
      body: 'end',
      reason: endReason(reason),
      error: errorFromWire(error),
      steps,
      note,
      ...(isSet(generation) ? { generation: generationFromWire(generation) } : {}),
      ...(goes_on ? { goesOn: true } : {}),
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
  if (isSet(record.input)) return { ...base, body: 'input', sequence: record.input.part };
  if (isSet(record.message)) {
    const { name, json } = record.message;
    return { ...base, body: 'message', name, value: jsonFromWire(json, `message ${name}`) };
  }
  if (isSet(record.result)) {
    const { sequence, value, error: detail } = record.result;
    const error = errorFromWire(detail);
    const result = error === undefined ? jsonFromWire(value ?? '', 'the result') : undefined;
    return { ...base, body: 'result', sequence, value: result, error };
  }
  if (isSet(record.recorded))
    return { ...base, body: 'recorded', name: record.recorded.name, json: record.recorded.json };
  return { ...base, body: 'unknown' };
}

/** Fields that only modules set, where they are. */
function moduleFields({
  point,
  chain,
  more,
  key,
  checkpoint,
}: Pick<v1.Record__Output, 'point' | 'chain' | 'more' | 'key'> & {
  readonly checkpoint?: v1.Checkpoint__Output | null;
}) {
  const sealed = checkpointFromWire(checkpoint);
  return {
    ...(point === 0 ? {} : { point }),
    ...(chain === 0 ? {} : { chain }),
    ...(more ? { more } : {}),
    ...(key ? { key } : {}),
    ...(sealed === undefined ? {} : { sealed }),
  };
}

/** Nothing where nothing is told. */
function jsonFromWire(json: string, what: string): unknown {
  if (json === '') return undefined;
  try {
    return JSON.parse(json) as unknown;
  } catch (cause) {
    throw new CabstandError('NODE_BAD_REPLY', `the hoster sent ${what} as no JSON`, { cause });
  }
}

function noticeFromWire(notice: v1.Notice__Output): NoticeEvent | undefined {
  if (isSet(notice.accepted))
    return {
      type: 'accepted',
      turn: notice.accepted.turn,
      nextPart: notice.accepted.next_part,
      wanted: notice.accepted.wanted_part,
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
      survival: SURVIVALS[opened.survival],
      nextCommand: opened.next_command_sequence,
      nodeId: opened.node_id,
      incarnation: opened.incarnation,
    };
  }
  if (isSet(notice.module)) {
    const { name, json, turn } = notice.module;
    return { type: 'module', turn, name, value: jsonFromWire(json, `notice ${name}`) };
  }
  if (isSet(notice.skipped)) return { type: 'skipped', records: notice.skipped.records };
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

const SURVIVALS: Readonly<Record<string, Survival>> = {
  SURVIVAL_NONE: 'none',
  SURVIVAL_REPLAY: 'replay',
  SURVIVAL_COMMIT: 'commit',
};

const SESSION_STATES = ['waiting', 'streaming', 'orphaned', 'closing', 'ended'] as const;

export function statusFromWire(wire: v1.SessionStatusResponse__Output): SessionStatus {
  const name = wire.state.replace('SESSION_STATE_', '').toLowerCase();
  return {
    state: SESSION_STATES.find((state) => state === name) ?? 'unknown',
    position: wire.position,
    turn: wire.turn,
    turnRuns: wire.turn_runs,
    acknowledgedPosition: wire.acknowledged_position,
    epoch: wire.epoch,
    model: wire.model,
  };
}
