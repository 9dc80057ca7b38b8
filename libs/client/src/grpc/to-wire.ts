import type { v1 } from '@cabstand/rpc';
import { toWire } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type {
  ChannelMessage,
  ChannelStart,
  Epoch,
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
    sequence: part.sequence,
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
      ...('input' in entry
        ? { input: inputToWire(entry.input) }
        : { live_input: partToWire(entry.part) }),
    })),
    delivered_position: resume.deliveredPosition,
    turn: resume.turn,
  };
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
  if (start.kind === 'open') return { open: openToWire(start) };
  return {
    attach: {
      session_id: start.sessionId,
      epoch: epochToWire(start.epoch),
      from_position: start.fromPosition,
    },
  };
}

export function updateToWire(update: SessionUpdate) {
  switch (update.kind) {
    case 'ack':
      return { ack: { position: update.position } };
    case 'cancel':
      return { cancel_turn: { turn: update.turn } };
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
