import type { CabstandError } from '@cabstand/core';
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { Authorizer, CallOptions, RpcClientOptions, v1 } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import { refusalOf } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';

/** As limits of tests: see test/support/environment.js. */
const CALL_MS = process.env['CI'] === undefined ? 20_000 : 60_000;

export const within: CallOptions = { timeoutMs: CALL_MS };

/** A member's calls without the client library, which would not send what these tests send. */
export class RawClient implements Disposable {
  readonly router: RpcClient;
  readonly hoster: RpcClient;

  constructor(subnet: Subnet, authorizer: Authorizer | string = 'client', hoster = 0) {
    const options: RpcClientOptions = {
      authorizer: typeof authorizer === 'string' ? subnet.authorizer(authorizer) : authorizer,
      // What is too large is for the server to refuse.
      maxMessageBytes: 64 * 1024 * 1024,
    };
    this.router = new RpcClient(subnet.routerAddresses[0] ?? '', options);
    this.hoster = new RpcClient(subnet.hosters[hoster]?.address ?? '', options);
  }

  /** All records of a turn; throws what the call fails with. */
  async turn(request: v1.InferenceStreamRequest): Promise<v1.Record__Output[]> {
    const records: v1.Record__Output[] = [];
    const stream = this.hoster.serverStream(HosterService.rpc_inference_stream, request, within);
    for await (const { record } of stream) if (record) records.push(record);
    return records;
  }

  /** What a turn is refused with. */
  refusal(request: v1.InferenceStreamRequest): Promise<CabstandError> {
    return refusalOf(this.turn(request));
  }

  /** What a session stream of these messages is refused with. */
  async streamRefusal(messages: readonly v1.SessionStreamRequest[]): Promise<CabstandError> {
    const stream = this.hoster.bidi(HosterService.rpc_session_stream, within);
    const refused = refusalOf(readAll(stream.responses));
    // Sending fails, too, once the call is over.
    for (const message of messages) await stream.send(message).catch(() => undefined);
    return refused;
  }

  [Symbol.dispose](): void {
    this.router.close();
    this.hoster.close();
  }
}

/** Reads a stream to its end; answers how many messages came. */
export async function readAll(messages: AsyncIterable<unknown>): Promise<number> {
  const iterator = messages[Symbol.asyncIterator]();
  let count = 0;
  while ((await iterator.next()).done !== true) count++;
  return count;
}

/** Sends these headers, whatever the call. */
export function headers(fixed: Readonly<Record<string, string>>): Authorizer {
  return {
    signRequest: () => Promise.resolve(fixed),
    validateResponse: () => Promise.resolve(),
    signResponse: () => Promise.reject(new Error('a client signs no responses')),
    validateRequest: () => Promise.reject(new Error('a client validates no requests')),
  };
}

/** Silence for Silero VAD, as it goes over the wire. */
export function audio(samples = 512): v1.Tensor {
  return toWire(tensorOf('audio', new Float32Array(samples)));
}

/** The epoch of a consumer that is told apart from others by a byte. */
export function epoch(counter = 1, owner = 1): v1.Epoch {
  return { counter, owner: Buffer.alloc(16, owner) };
}

let sessions = 0;

/** A session id that was not used before. */
export function newId(): string {
  return `bad-input-${String(process.pid)}-${String(sessions++)}`;
}
