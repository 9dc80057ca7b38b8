import { Client, credentials } from '@grpc/grpc-js';
import type { StatusObject } from '@grpc/grpc-js';
import { CabstandError } from '@cabstand/core';
import { HosterService } from '../index';
import type { HosterHandlers, ServerCall } from '../index';
import { rig } from '../rpc.fixture';

const identity = (bytes: Buffer): Buffer => bytes;

/** Calls a method past the client of this package, which does not read trailers, and answers how the call ended. */
async function statusOf(
  port: number,
  { info: { path } }: (typeof HosterService)[keyof typeof HosterService],
): Promise<StatusObject> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    // On the wire all kinds are streams both ways.
    const call = client.makeBidiStreamRequest(path, identity, identity);
    call.on('error', () => undefined);
    call.resume();
    call.write(Buffer.alloc(0));
    call.end();
    return await new Promise((resolve) => call.on('status', resolve));
  } finally {
    client.close();
  }
}

const mark = ({ trailers }: ServerCall): void => {
  trailers?.set('x-mark', 'one');
  trailers?.set('x-mark-bin', Buffer.from([10, 11]));
};

const handlers: HosterHandlers = {
  rpc_info: (_request, call) => {
    mark(call);
    return {};
  },
  rpc_inference_stream: async (_request, call, out) => {
    mark(call);
    await out.write({});
  },
  rpc_session_stream: async (requests, call) => {
    for await (const request of requests) expect(request).toBeDefined();
    mark(call);
  },
};

const KINDS = ['rpc_info', 'rpc_inference_stream', 'rpc_session_stream'] as const;

test.each(KINDS)('headers that a handler adds come behind its answer: %s', async (name) => {
  await using it = await rig(handlers);
  const { code, metadata } = await statusOf(it.port, HosterService[name]);
  expect(code).toBe(0);
  expect(metadata.get('x-mark')).toEqual(['one']);
  expect(metadata.get('x-mark-bin')).toEqual([Buffer.from([10, 11])]);
});

test.each(KINDS)('a refusal says its reason, and nothing else: %s', async (name) => {
  const refuse = (_request: unknown, call: ServerCall): never => {
    mark(call);
    throw new CabstandError('HOSTER_FULL', 'full');
  };
  await using it = await rig({
    rpc_info: refuse,
    rpc_inference_stream: refuse,
    rpc_session_stream: refuse,
  });
  const { code, metadata } = await statusOf(it.port, HosterService[name]);
  expect(code).toBe(8);
  expect(Object.keys(metadata.getMap()).filter((key) => key.startsWith('x-'))).toEqual([]);
});
