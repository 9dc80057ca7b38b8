import { traceHeaders } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { toWire } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type {
  ChannelMessage,
  ChannelStart,
  Epoch,
  GivenRecord,
  LivePart,
  OpenFields,
  ResumeRequest,
  SessionUpdate,
  TurnInput,
  TurnRequest,
} from '../protocol/types';

/** Writes what hosters are sent. */
export function epochToWire(epoch: Epoch): v1.Epoch {
  return { counter: epoch.counter, owner: Buffer.from(epoch.owner) };
}

const tensorToWire = (tensor: Tensor): v1.Tensor => toWire(tensor);

function inputToWire(input: TurnInput): v1.TurnInput {
  return {
    prompt: input.prompt,
    inputs: input.tensors.map(tensorToWire),
    parameters: input.parameters,
  };
}

function partToWire(part: LivePart): v1.LiveInput {
  return {
    turn: part.turn,
    part: part.sequence,
    inputs: part.tensors.map(tensorToWire),
    last: part.last,
  };
}

function resumeToWire(resume: ResumeRequest): v1.Resume {
  const { checkpoint } = resume;
  return {
    checkpoint:
      checkpoint === undefined
        ? null
        : { position: checkpoint.position, sealed: Buffer.from(checkpoint.sealed) },
    replay: resume.replay.map((entry) => ({
      turn: entry.turn,
      position: entry.position,
      ...replayToWire(entry),
    })),
    delivered_position: resume.deliveredPosition,
    turn: resume.turn,
    chain: resume.chain,
    served_epoch: resume.servedEpoch,
  };
}

function replayToWire(entry: ResumeRequest['replay'][number]): v1.Replay {
  if ('input' in entry) return { input: inputToWire(entry.input) };
  if ('part' in entry) return { live_input: partToWire(entry.part) };
  return { record: recordToWire(entry.record) };
}

/** As it was received. */
function recordToWire(record: GivenRecord): v1.Record {
  const { position, turn, epoch, point = 0, chain = 0, more = false, key = false } = record;
  const fields = { position, turn, epoch, point, chain, more, key };
  switch (record.body) {
    case 'command': {
      const { sequence, name } = record;
      return { ...fields, applied: { sequence, name, arguments: record.arguments } };
    }
    case 'input':
      return { ...fields, input: { part: record.sequence } };
    case 'recorded':
      return { ...fields, recorded: { name: record.name, json: record.json } };
  }
}

function openToWire(open: OpenFields) {
  return {
    session_id: open.sessionId,
    epoch: epochToWire(open.epoch),
    durable: open.durable,
    model: open.model,
    ticket: open.ticket,
    priority: open.priority,
    ...(open.resume === undefined ? {} : { resume: resumeToWire(open.resume) }),
  };
}

export function turnToWire(request: TurnRequest): v1.InferenceStreamRequest {
  return {
    ...openToWire(request),
    ...inputToWire(request.input),
    turn: request.turn,
    from_position: request.fromPosition,
    keep_session: request.keepSession,
  };
}

export function startToWire(start: ChannelStart): v1.SessionStreamRequest {
  if (start.kind === 'open')
    return { open: { ...openToWire(start), bundles: true, resumes: start.durable } };
  if (start.kind === 'view')
    return {
      attach: {
        session_id: start.sessionId,
        role: 'ATTACH_ROLE_VIEWER',
        ticket: start.ticket ?? '',
      },
    };
  return {
    attach: {
      session_id: start.sessionId,
      epoch: epochToWire(start.epoch),
      from_position: start.fromPosition,
      served_epoch: start.servedEpoch,
      ...{ bundles: true, resumes: true },
    },
  };
}

export function updateToWire(update: SessionUpdate) {
  switch (update.kind) {
    case 'ack':
      return { ack: { position: update.position } };
    case 'cancel':
      return { cancel_turn: { turn: update.turn } };
    case 'command': {
      const { number, name, turn } = update;
      const command = { sequence: number, name, arguments: update.arguments };
      return { command: turn === undefined ? command : { ...command, turn } };
    }
    case 'handover':
      return { handover: {} };
  }
}

export function messageToWire(message: ChannelMessage): v1.SessionStreamRequest {
  switch (message.kind) {
    case 'turn':
      return {
        turn: {
          turn: message.turn,
          input: inputToWire(message.input),
          live: message.live,
          ...traceHeaders(message.trace),
        },
      };
    case 'part':
      return { input: partToWire(message) };
    case 'close':
      return { close: { reason: message.reason } };
    default:
      return updateToWire(message);
  }
}
