/** The client library's view of the network: real messages, in memory. */
import { CabstandError, abortReason } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { MessageCodec } from '@cabstand/rpc';
import { WireProtocol } from '@cabstand/client/protocol';
import type { Calls, Responses } from '@cabstand/client/protocol';
import type { Call, MethodName } from './call';
import type { ClientSide } from './client-side';
import type { Network } from './network';

/** Sessions of one process over the network. */
export function memoryProtocol(network: Network, process: number, clock: Clock): WireProtocol {
  return new WireProtocol((address) => callsTo(network, process, clock, address));
}

function callsTo(network: Network, from: number, clock: Clock, to: string): Calls {
  const open = (name: string): { readonly call: Call; readonly client: ClientSide } => {
    const call = network.open({ from, to, method: name as MethodName });
    const { client } = call;
    if (client === undefined) throw new Error('a call of its own has somebody who reads it');
    return { call, client };
  };
  return {
    serverStream: ({ info, request, response }, message) => {
      const { call, client } = open(info.method);
      call.send(request.encode(message));
      return decoded(client, response);
    },
    bidi: ({ info, request, response }) => {
      const { call, client } = open(info.method);
      call.call();
      const accepted = client.taken();
      accepted.catch(() => undefined);
      return {
        responses: decoded(client, response),
        accepted,
        send: (message) => {
          call.send(request.encode(message));
          return call.sent();
        },
        // This network knows no half of a call: where the client has nothing more to say, the call is over.
        end: () => client.cancel(undefined),
        cancel: (error) => client.cancel(error),
      };
    },
    unary: async ({ info, request, response }, message, { signal, timeoutMs = Infinity }) => {
      if (signal?.aborted === true) throw abortReason(signal);
      const { call, client } = open(info.method);
      const onAbort = (): void => client.cancel(signal && abortReason(signal));
      signal?.addEventListener('abort', onAbort, { once: true });
      const late = new CabstandError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs} ms`);
      const timer = clock.setTimer(() => client.cancel(late), timeoutMs);
      try {
        call.send(request.encode(message));
        await client.ready();
        const answer = client.read();
        if (answer === undefined) throw new CabstandError('NODE_BAD_REPLY', 'no response came');
        if (await client.ready()) throw new CabstandError('NODE_BAD_REPLY', 'two responses came');
        return response.decode(answer);
      } finally {
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
      }
    },
  };
}

/** What has arrived, read as messages. */
function decoded<Res>(client: ClientSide, { decode }: MessageCodec<never, Res>): Responses<Res> {
  return {
    read: () => {
      const bytes = client.read();
      return bytes === undefined ? undefined : decode(bytes);
    },
    ready: () => client.ready(),
    cancel: (reason) => client.cancel(reason),
  };
}
