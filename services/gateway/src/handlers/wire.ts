/** What the client library tells, in the contract's words. */
import type { CabstandError } from '@cabstand/core';
import type { OpenedEvent, RecordEvent } from '@cabstand/client/protocol';
import { wireEndReason, wireError, wireGeneration, wireSurvival } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { toWire } from '@cabstand/tensor';

/**
 * A record as its caller reads it, in the caller's epoch. What serves to go on elsewhere stays here: checkpoints
 * within turns, the chain, and which records count together, for all of those have come.
 *
 * @param checkpoints of ends of turns are the caller's. Default false
 */
export function wireRecord(record: RecordEvent, epoch: number, checkpoints = false): v1.Record {
  const { position, turn, point = 0, key = false } = record;
  return { position, turn, epoch, point, key, ...body(record, checkpoints) };
}

function body(record: RecordEvent, checkpoints: boolean): Partial<v1.Record> {
  switch (record.body) {
    case 'chunk':
      return { chunk: { outputs: record.tensors.map((one) => toWire(one)), text: record.text } };
    case 'command': {
      const { sequence, name } = record;
      return { applied: { sequence, name, arguments: record.arguments } };
    }
    case 'input':
      return { input: { part: record.sequence } };
    case 'message':
      return { message: { name: record.name, json: json(record.value) } };
    case 'result': {
      const { sequence, value, error } = record;
      return {
        result: { sequence, ...(error === undefined ? { value: json(value) } : outcome(error)) },
      };
    }
    case 'recorded':
      return { recorded: { name: record.name, json: record.json } };
    case 'unknown':
      // Of a hoster newer than this gateway: its position is told, so that none is missing.
      return {};
    case 'end': {
      const { reason, error, steps, note = '', generation, goesOn = false } = record;
      return {
        end_of_turn: {
          reason: wireEndReason(reason),
          error: wireError(error),
          steps,
          note,
          goes_on: goesOn,
          generation: generation === undefined ? null : wireGeneration(generation),
          checkpoint: checkpoints ? (record.checkpoint ?? null) : null,
        },
      };
    }
  }
}

const outcome = (error: CabstandError): { readonly error: v1.ErrorDetail | null } => ({
  error: wireError(error),
});

/** Empty for what says nothing. */
export function json(value: unknown): string {
  return value === undefined ? '' : JSON.stringify(value);
}

/** Callers need not ack: what they read from the stream is acknowledged for them. */
export function wireOpened(event: OpenedEvent): v1.Notice {
  return {
    opened: {
      session_id: event.sessionId,
      position: event.position,
      model: event.model,
      version: event.version,
      digest: event.digest,
      provider: event.provider,
      node_id: event.nodeId,
      incarnation: event.incarnation,
      survival: wireSurvival(event.survival),
      next_command_sequence: event.nextCommand ?? 0,
    },
  };
}
