/**
 * grpc.testing.TestService as gRPC's official interop clients expect it, by the server that hosters, routers and
 * gateways use: https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { CabstandError, Code } from '@cabstand/core';
import type { CodeName } from '@cabstand/core';
import { methodsOf } from '@cabstand/rpc';
import type {
  Authorizer,
  BidiMethod,
  HandlersOf,
  MethodInfo,
  ServerCall,
  ServerStreamMethod,
  StreamWriter,
  UnaryMethod,
} from '@cabstand/rpc';

const INITIAL = 'x-grpc-test-echo-initial';
const TRAILING = 'x-grpc-test-echo-trailing-bin';

interface Payload {
  readonly type: 'COMPRESSABLE';
  readonly body: Buffer;
}

/** Of what is asked for, what these cases use. */
interface EchoStatus {
  readonly code: number;
  readonly message: string;
}

interface SimpleRequest {
  readonly response_size: number;
  readonly response_status: EchoStatus | null;
}

interface Response {
  readonly payload?: Payload;
}

interface OutputRequest {
  readonly response_parameters: readonly {
    readonly size: number;
    readonly interval_us: number;
  }[];
  readonly response_status: EchoStatus | null;
}

interface InputRequest {
  readonly payload: Payload | null;
}

interface InputResponse {
  readonly aggregated_payload_size: number;
}

/** @param descriptors a google.protobuf.FileDescriptorSet with grpc.testing, as published with a client */
export function testService(descriptors: Buffer) {
  const loaded = loadFileDescriptorSetFromBuffer(descriptors, {
    ...{ keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true },
  });
  // Held to the limits that requests of the contract are held to.
  const method = methodsOf(loaded, 'grpc.testing.TestService', { checked: true });
  const unary = <Req, Res>(name: string): UnaryMethod<Req, Req, Res, Res> =>
    method<'unary', Req, Req, Res, Res>(name, 'unary');
  const input = method<'client_stream', InputRequest, InputRequest, InputResponse, InputResponse>(
    'StreamingInputCall',
    'client_stream',
  );
  const output: ServerStreamMethod<OutputRequest, OutputRequest, Response, Response> = method(
    'StreamingOutputCall',
    'server_stream',
  );
  const duplex: BidiMethod<OutputRequest, OutputRequest, Response, Response> = method(
    'FullDuplexCall',
    'bidi',
  );
  return {
    EmptyCall: unary<object, object>('EmptyCall'),
    UnaryCall: unary<SimpleRequest, Response>('UnaryCall'),
    StreamingOutputCall: output,
    // No method of Cabstand's streams requests only. On the wire it is a stream both ways with one answer.
    StreamingInputCall: {
      ...input,
      info: { ...input.info, kind: 'bidi' } satisfies MethodInfo,
    } as BidiMethod<InputRequest, InputRequest, InputResponse, InputResponse>,
    FullDuplexCall: duplex,
    // Without a handler, which is what unimplemented_method asks for.
    UnimplementedCall: unary<object, object>('UnimplementedCall'),
  } as const;
}

export const handlers: HandlersOf<ReturnType<typeof testService>> = {
  EmptyCall: () => ({}),
  UnaryCall: ({ response_status: status, response_size: size }, call) => {
    echoTrailing(call);
    refuseWith(status);
    return { payload: payload(size) };
  },
  StreamingOutputCall: (request, _call, out) => answer(request, out),
  StreamingInputCall: async (requests, _call, out) => {
    let size = 0;
    for await (const request of requests) size += request.payload?.body.length ?? 0;
    await out.write({ aggregated_payload_size: size });
  },
  FullDuplexCall: async (requests, call, out) => {
    echoTrailing(call);
    for await (const request of requests) {
      refuseWith(request.response_status);
      await answer(request, out);
    }
  },
};

/** Lets everybody in; what it says with the headers of an answer is what the caller asked for. */
export const echoing: Authorizer = {
  signRequest: () => Promise.resolve({}),
  validateRequest: () => Promise.resolve({ id: 'interop', roles: new Set(['client']) }),
  signResponse: ({ metadata }) => {
    const [value] = metadata.get(INITIAL);
    return Promise.resolve(typeof value === 'string' ? { [INITIAL]: value } : {});
  },
  validateResponse: () => Promise.resolve(),
};

function echoTrailing({ metadata, trailers }: ServerCall): void {
  for (const value of metadata.get(TRAILING)) trailers?.add(TRAILING, value);
}

/** A refusal with any code, also those that no reason of Cabstand's has. */
class Echoed extends CabstandError {
  readonly #code: CodeName;

  constructor(code: CodeName, message: string) {
    super('INTERNAL', message);
    this.#code = code;
  }

  override get code(): CodeName {
    return this.#code;
  }
}

function refuseWith(status: EchoStatus | null): void {
  if (status === null || status.code === Code.OK) return;
  const found = Object.entries(Code).find(([, number]) => number === status.code);
  if (found === undefined) throw new CabstandError('INVALID_ARGUMENT', `no code: ${status.code}`);
  // The entries of a constant.
  throw new Echoed(found[0] as CodeName, status.message);
}

async function answer(request: OutputRequest, out: StreamWriter<Response>): Promise<void> {
  for (const { size, interval_us: microseconds } of request.response_parameters) {
    if (microseconds > 0) await sleep(microseconds / 1000);
    await out.write({ payload: payload(size) });
  }
}

const payload = (size: number): Payload => ({ type: 'COMPRESSABLE', body: Buffer.alloc(size) });
