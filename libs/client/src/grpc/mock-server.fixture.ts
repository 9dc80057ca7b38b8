import type { Principal } from '@cabstand/core';
import { HosterService, RpcServer, toDuration } from '@cabstand/rpc';
import type { Authorizer, HosterHandlers, v1 } from '@cabstand/rpc';
import { fromWire, toWire } from '@cabstand/tensor';
import type { MockProtocol } from '../mock/protocol';
import type { Checkpoint, ProtocolEvent } from '../protocol/events';
import type { ChannelStart, Epoch, EventSource, ResumeRequest, TurnInput } from '../protocol/types';
import { isSet } from '../is-set';

const principal: Principal = { id: 'tester', roles: new Set(['client', 'router', 'hoster']) };

export const trusting: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve(principal),
  signResponse: () => Promise.resolve({}),
  validateResponse: () => Promise.resolve(),
};

/** A mocked hoster behind a real port, so that both protocols are held to the same behaviour. */
export async function serveMock(
  mock: MockProtocol,
  hoster: string,
): Promise<{ readonly server: RpcServer; readonly address: string }> {
  const server = new RpcServer({ authorizer: trusting });
  server.addService(HosterService, handlers(mock, hoster));
  const port = await server.listen('127.0.0.1:0');
  return { server, address: `127.0.0.1:${port}` };
}

function handlers(mock: MockProtocol, hoster: string): HosterHandlers {
  const target = { nodeId: hoster, incarnation: '', address: hoster };
  return {
    rpc_inference_stream: async (request, call, out) => {
      const source = mock.runTurn(target, {
        ...openFields(request),
        turn: request.turn,
        input: turnInput(request),
        fromPosition: request.from_position,
        keepSession: request.keep_session,
      });
      await forward(source, call.signal, (event) =>
        out.write(eventToWire(event) as v1.InferenceStreamResponse),
      );
    },
    rpc_session_stream: async (requests, call, out) => {
      const messages = requests[Symbol.asyncIterator]();
      const first = await messages.next();
      if (first.done === true) return;
      const { open, attach } = first.value;
      const start: ChannelStart = !isSet(open)
        ? {
            kind: 'attach',
            sessionId: attach?.session_id ?? '',
            epoch: epochOf(attach?.epoch ?? null),
            fromPosition: attach?.from_position ?? 0,
          }
        : { kind: 'open', ...openFields(open) };
      const channel = mock.openChannel(target, start);
      const receive = async (): Promise<void> => {
        for (let step = await messages.next(); step.done !== true; step = await messages.next()) {
          const { turn, input, ack, cancel_turn: cancel, handover, close } = step.value;
          if (isSet(turn))
            channel.send({
              kind: 'turn',
              turn: turn.turn,
              live: turn.live,
              input: turnInput(turn.input ?? { prompt: '', inputs: [], parameters: '' }),
            });
          if (isSet(input))
            channel.send({
              kind: 'part',
              turn: input.turn,
              sequence: input.sequence,
              tensors: input.inputs.map(fromWire),
              last: input.last,
            });
          if (isSet(ack)) channel.send({ kind: 'ack', position: ack.position });
          if (isSet(cancel)) channel.send({ kind: 'cancel', turn: cancel.turn });
          if (isSet(handover)) channel.send({ kind: 'handover' });
          if (isSet(close)) channel.send({ kind: 'close', reason: close.reason });
        }
      };
      receive().catch(() => undefined);
      await forward(channel, call.signal, (event) => out.write(eventToWire(event)));
    },
    rpc_session_update: async (request) => {
      const { session_id: sessionId, ack, cancel_turn: cancel } = request;
      const session = { sessionId, epoch: epochOf(request.epoch) };
      await mock.update(
        target,
        session,
        isSet(ack)
          ? { kind: 'ack', position: ack.position }
          : isSet(cancel)
            ? { kind: 'cancel', turn: cancel.turn }
            : { kind: 'handover' },
      );
      return {};
    },
    rpc_session_status: async (request) => {
      const status = await mock.status(target, request.session_id);
      return {
        state: 'SESSION_STATE_STREAMING',
        position: status.position,
        turn: status.turn,
        acknowledged_position: status.acknowledgedPosition,
        epoch: status.epoch,
        model: status.model,
      };
    },
    rpc_close_session: async (request, call) => {
      await mock.closeSession(target, {
        sessionId: request.session_id,
        epoch: epochOf(request.epoch),
      });
      return call.signal.aborted ? {} : { reason: 'END_REASON_STOPPED' };
    },
  };

  function openFields(open: v1.Open__Output | v1.InferenceStreamRequest__Output) {
    const { session_id: sessionId, durable, model, priority, ticket } = open;
    const fields = { sessionId, epoch: epochOf(open.epoch), durable, model, priority, ticket };
    return isSet(open.resume) ? { ...fields, resume: resumeOf(open.resume) } : fields;
  }
}

async function forward(
  source: EventSource,
  signal: AbortSignal,
  write: (event: ProtocolEvent) => Promise<void>,
): Promise<void> {
  const onAbort = (): void => source.cancel(signal.reason as never);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    while (await source.wait())
      for (let event = source.poll(); event !== undefined; event = source.poll())
        await write(event);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function resumeOf(resume: v1.Resume__Output): ResumeRequest {
  const { checkpoint, replay, delivered_position: deliveredPosition, turn } = resume;
  return {
    checkpoint: isSet(checkpoint) ? checkpoint : undefined,
    replay: replay.flatMap((entry) =>
      isSet(entry.input)
        ? [{ turn: entry.turn, position: entry.position, input: turnInput(entry.input) }]
        : [],
    ),
    deliveredPosition,
    turn,
  };
}

function checkpointToWire(checkpoint: Checkpoint | undefined): v1.Checkpoint | null {
  if (checkpoint === undefined) return null;
  return { position: checkpoint.position, sealed: Buffer.from(checkpoint.sealed) };
}

function epochOf(epoch: v1.Epoch__Output | null): Epoch {
  return { counter: epoch?.counter ?? 0, owner: epoch?.owner ?? new Uint8Array(0) };
}

function turnInput(input: {
  prompt: string;
  inputs: v1.Tensor__Output[];
  parameters: string;
}): TurnInput {
  const { prompt, inputs, parameters } = input;
  return { prompt, tensors: inputs.map(fromWire), parameters };
}

function eventToWire(event: ProtocolEvent): v1.SessionStreamResponse {
  const reason = (name: string) => `END_REASON_${name.toUpperCase()}` as v1.EndReason__Output;
  switch (event.type) {
    case 'record': {
      const { position, turn, epoch } = event;
      if (event.body === 'chunk') {
        const outputs = event.tensors.map(toWire) as v1.Tensor[];
        return { record: { position, turn, epoch, chunk: { outputs, text: event.text } } };
      }
      if (event.body === 'input')
        return { record: { position, turn, epoch, input: { sequence: event.sequence } } };
      if (event.body !== 'end') throw new Error('the mock applies no commands');
      const { error, steps } = event;
      return {
        record: {
          position,
          turn,
          epoch,
          end_of_turn: {
            reason: reason(event.reason),
            steps,
            checkpoint: checkpointToWire(event.checkpoint),
            error:
              error === undefined
                ? null
                : { reason: error.reason, message: error.message, metadata: error.metadata },
          },
        },
      };
    }
    case 'opened':
      return {
        notice: {
          opened: {
            session_id: event.sessionId,
            position: event.position,
            model: event.model,
            digest: event.digest,
            ack_every: event.ackEvery,
            ack_records: event.ackRecords,
            ack_bytes: event.ackBytes,
            node_id: event.nodeId,
            incarnation: event.incarnation,
          },
        },
      };
    case 'accepted':
      return { notice: { accepted: { turn: event.turn, next_input_sequence: event.nextPart } } };
    case 'checkpoint':
      return { notice: { checkpoint: { checkpoint: checkpointToWire(event.checkpoint) } } };
    case 'draining':
      return { notice: { draining: { deadline: toDuration(event.deadlineMs) } } };
    case 'closed':
      return { closed: { reason: reason(event.reason) } };
    default:
      throw new Error(`the mock does not send ${event.type}`);
  }
}
